// What a repeated run would have in common with this one, and what lowers it. Pure. Never claims more than is
// known.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "vboot/lab/lab_plan.h"

namespace rookery::vboot {

enum class Grade : std::uint8_t {
  none,         // nothing is promised
  frame_order,  // faults and all decisions of ours come from the seed; machines run in real time
  bit_exact     // every byte, at its nanosecond
};
std::string_view to_string(Grade grade);

struct GradeReport {
  Grade grade = Grade::none;
  std::vector<std::string> reasons;  // why it is no higher
};

// `notices`: what guests' kernels said of sources of chance that were used (see NoticeReader).
GradeReport grade_of(const LabPlan& lab, bool virtual_time, const std::vector<std::string>& notices);

// Finds, in what machines write to their consoles, our kernel's word that a program used what virtual time
// does not reach: a processor's time stamp counter, its random numbers. Keeps a part of a line for each
// machine, no more.
class NoticeReader {
 public:
  static constexpr std::string_view kMark = "rookery: not reproducible: ";  // images/kernel/patches
  static constexpr std::size_t kMost = 100;

  void read(const std::string& machine, std::string_view bytes);
  const std::vector<std::string>& notices() const { return notices_; }

 private:
  std::map<std::string, std::string> lines_;  // begun and not ended
  std::vector<std::string> notices_;
};

}  // namespace rookery::vboot
