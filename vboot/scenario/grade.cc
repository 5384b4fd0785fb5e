#include "vboot/scenario/grade.h"

#include <fmt/format.h>

#include "images/medium/console_notices.h"

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

GradeReport grade_of(const LabPlan& lab, bool virtual_time, const std::vector<std::string>& dangers) {
  GradeReport report{Grade::bit_exact, {}};
  if (!virtual_time) report.reasons.push_back("the machines ran in real time");
  for (const MachinePlan& machine : lab.machines) {
    if (machine.backend == "uml") continue;
    report.reasons.push_back(fmt::format("{} is no User-Mode Linux but {}, which virtual time does not reach",
                                         machine.name, machine.backend));
    break;
  }
  report.reasons.insert(report.reasons.end(), dangers.begin(), dangers.end());
  if (!report.reasons.empty()) report.grade = Grade::frame_order;
  return report;
}

void NoticeReader::read(const std::string& machine, std::string_view bytes) {
  std::string& line = lines_[machine];
  for (const char c : bytes) {
    if (c != '\n') {
      if (line.size() < kLongestLine) line.push_back(c);
      continue;
    }
    read_line(machine, line);
    line.clear();
  }
}

void NoticeReader::read_line(const std::string& machine, std::string_view line) {
  const auto notice = images::parse_console_notice(line);
  if (!notice) return;
  const bool danger = images::endangers_repetition(*notice);
  const bool answered = notice->kind == images::ConsoleNotice::Kind::time_stamp_answered;
  auto& list = danger ? dangers_ : answered_;
  if ((!danger && !answered) || list.size() == kMost) return;
  list.push_back(fmt::format("{}: {} ({}) {}", machine, notice->program, notice->file,
                             danger ? "holds instructions for the processor's own random numbers or number"
                                    : "read the time stamp counter, and was answered from virtual time"));
}

}  // namespace rookery::vboot
