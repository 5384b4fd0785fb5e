#include "vboot/scenario/grade.h"

#include <fmt/format.h>

#include <algorithm>

namespace rookery::vboot {
namespace {

constexpr std::size_t kLongestLine = 512;

}  // namespace

std::string_view to_string(Grade grade) {
  switch (grade) {
    case Grade::none:
      return "none";
    case Grade::frame_order:
      return "frame-order";
    case Grade::bit_exact:
      return "bit-exact";
  }
  return "none";
}

GradeReport grade_of(const LabPlan& lab, bool virtual_time, const std::vector<std::string>& notices) {
  GradeReport report{Grade::bit_exact, {}};
  if (!virtual_time) report.reasons.push_back("the machines ran in real time");
  for (const MachinePlan& machine : lab.machines) {
    if (machine.backend == "uml") continue;
    report.reasons.push_back(fmt::format("{} is no User-Mode Linux but {}, which virtual time does not reach",
                                         machine.name, machine.backend));
    break;
  }
  report.reasons.insert(report.reasons.end(), notices.begin(), notices.end());
  if (!report.reasons.empty()) report.grade = Grade::frame_order;
  return report;
}

void NoticeReader::read(const std::string& machine, std::string_view bytes) {
  std::string& line = lines_[machine];
  for (const char c : bytes) {
    if (c != '\n') {
      if (line.size() < kLongestLine && c != '\r') line.push_back(c);
      continue;
    }
    const std::size_t at = line.find(kMark);
    if (at != std::string::npos && notices_.size() < kMost)
      notices_.push_back(fmt::format("{}: {}", machine, line.substr(at + kMark.size())));
    line.clear();
  }
}

}  // namespace rookery::vboot
