// What a lab gives a machine before its system starts: the user's files, Debian packages, and public keys for
// SSH, as one tar and the script that puts it in. Made before anything starts; a plain value, shared by all
// machines that get the same.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "vboot/lab/lab_plan.h"

namespace rookery::vboot {

struct Gift {
  std::string tar;
  std::string sha256;  // of the tar
  std::size_t files = 0, packages = 0;
};

inline constexpr Bytes kGiftMost = mebibytes(64);  // it lies in the machine's memory
inline constexpr std::size_t kGiftFilesMost = 10'000;

// Runs in the machine: takes the tar, configures the packages, starts sshd where there are keys, and lets the
// machine's system start. Its standard error says what went wrong.
std::vector<std::string> gift_script();

// Makes each gift once. An Error (kind usage) names the lab file's line.
class GiftMaker {
 public:
  explicit GiftMaker(const LabPlan& plan) : plan_(plan) {}
  // Null where the lab gives nothing to anybody.
  Result<std::shared_ptr<const Gift>> of(const MachinePlan& machine);

 private:
  const LabPlan& plan_;
  struct Made {
    std::vector<Injection> from;
    std::shared_ptr<const Gift> gift;
  };
  std::vector<Made> made_;  // a few: as many as there are groups that get something of their own
};

}  // namespace rookery::vboot
