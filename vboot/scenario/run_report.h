// What a run is told as: one JSON object for programs, some lines for people. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json/json.h"
#include "vboot/scenario/grade.h"
#include "vboot/scenario/scenario_run.h"
#include "vboot/trace/trace.h"

namespace rookery::vboot {

struct RunFigures {
  TraceSummary trace;
  GradeReport grade;
  double host_seconds = 0;
  std::string trace_file;  // empty: none was kept
  std::string replay;      // the command that does the same again
};

bool passed(const std::vector<Verdict>& verdicts);
Json to_json(const std::vector<Verdict>& verdicts);
// result, scenario, lab, seed, grade, lowered_by, digest, virtual_seconds, host_seconds, machines, clients,
// ready, failed, expectations, steps, programs, …: docs/commands.md.
Json run_report(const ScenarioPlan& plan, const RunningLab& lab, const RunOutcome& outcome,
                const RunFigures& figures);
// For people; made of the report, so that both say the same.
std::string in_words(JsonView report);

}  // namespace rookery::vboot
