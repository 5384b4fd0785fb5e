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

// Reads the consoles for what our kernel says of programs that ask the processor instead of the kernel
// (images/medium/console_notices.h). Keeps a part of a line for each machine, no more.
class NoticeReader {
 public:
  static constexpr std::size_t kMost = 100;

  void read(const std::string& machine, std::string_view bytes);
  // "n5: dd, in usr/bin/dd, …": what may differ in a repeated run, and what is harmless, for it was answered.
  const std::vector<std::string>& dangers() const { return dangers_; }
  const std::vector<std::string>& answered() const { return answered_; }

 private:
  void read_line(const std::string& machine, std::string_view line);

  std::map<std::string, std::string> lines_;  // begun and not ended
  std::vector<std::string> dangers_, answered_;
};

GradeReport grade_of(const LabPlan& lab, bool virtual_time, const std::vector<std::string>& dangers);

}  // namespace rookery::vboot
