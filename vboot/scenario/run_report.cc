#include "vboot/scenario/run_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/printable.h"
#include "vboot/run/session/report.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kFailedShown = 5;

Json to_json(const std::vector<StepResult>& steps) {
  Json list = Json::array();
  for (const StepResult& step : steps) {
    Json entry =
        Json::object().set("name", step.name).set("does", step.text).set("line", Json::integer(step.line));
    entry.set("seconds", step.at ? Json::number(seconds(*step.at)) : Json());
    if (!step.problem.empty()) entry.set("problem", step.problem);
    list.add(std::move(entry));
  }
  return list;
}

Json to_json(const std::vector<ProgramResult>& programs) {
  Json list = Json::array();
  for (const ProgramResult& program : programs) {
    Json entry = Json::object().set("name", program.name).set("machine", program.machine);
    if (program.exit_code >= 0) entry.set("exit_code", Json::integer(program.exit_code));
    if (!program.problem.empty()) entry.set("problem", program.problem);
    entry.set("stdout", program.out).set("stderr", program.err);
    if (!program.as_wanted) entry.set("output_end", program.end);
    list.add(std::move(entry));
  }
  return list;
}

}  // namespace

bool passed(const std::vector<Verdict>& verdicts) {
  return std::all_of(verdicts.begin(), verdicts.end(), [](const Verdict& verdict) { return verdict.held; });
}

Json to_json(const std::vector<Verdict>& verdicts) {
  Json list = Json::array();
  for (const Verdict& verdict : verdicts) {
    list.add(Json::object()
                 .set("expectation", verdict.expectation)
                 .set("line", Json::integer(verdict.line))
                 .set("verdict", verdict.held ? "held" : "failed")
                 .set("evidence", verdict.evidence));
  }
  return list;
}

Json run_report(const ScenarioPlan& plan, const RunningLab& lab, const RunOutcome& outcome,
                const RunFigures& figures) {
  const BootSummary summary = lab.summary();
  Json report = Json::object()
                    .set("result", passed(outcome.verdicts) ? "pass" : "fail")
                    .set("scenario", plan.name)
                    .set("lab", plan.lab.name)
                    .set("seed", Json::count(plan.lab.seed))
                    .set("grade", to_string(figures.grade.grade))
                    .set("lowered_by", Json::strings(figures.grade.reasons))
                    .set("answered", Json::strings(outcome.answered))
                    .set("digest", to_hex(figures.trace.digest))
                    .set("virtual_seconds", Json::number(seconds(outcome.ended)))
                    .set("host_seconds", Json::number(figures.host_seconds))
                    .set("machines", Json::count(lab.nodes().size()))
                    .set("clients", Json::count(summary.clients))
                    .set("ready", Json::count(summary.ready))
                    .set("failed", failed_machines(summary))
                    .set("seconds_to_ready", Json::number(seconds(summary.time_to_ready)))
                    .set("expectations", to_json(outcome.verdicts))
                    .set("steps", to_json(outcome.steps))
                    .set("programs", to_json(outcome.programs))
                    .set("frames", Json::count(figures.trace.frames))
                    .set("records", Json::count(figures.trace.records));
  if (!figures.trace_file.empty()) {
    report.set("trace", figures.trace_file);
    report.set("trace_whole", Json::boolean(figures.trace.whole));
  }
  return std::move(report).set("replay", figures.replay);
}

std::string in_words(JsonView report) {
  const JsonView expectations = *report.find("expectations");
  std::size_t held = 0;
  std::string broken;
  for (std::size_t i = 0; i < expectations.size(); ++i) {
    const JsonView one = expectations.at(i);
    if (text_of(one, "verdict") == "held") {
      ++held;
      continue;
    }
    broken += fmt::format("  line {}  {}\n          {}\n", count_of(one, "line"), text_of(one, "expectation"),
                          text_of(one, "evidence"));
  }
  std::string text =
      fmt::format("{}: {} ({} of {} expectations held)\n", text_of(report, "scenario"),
                  text_of(report, "result") == "pass" ? "pass" : "FAIL", held, expectations.size());
  text += broken;
  text += fmt::format("  {} of {} clients ready; {:.3f} s of the machines' time in {:.1f} s\n",
                      count_of(report, "ready"), count_of(report, "clients"),
                      number_of(report, "virtual_seconds"), number_of(report, "host_seconds"));
  const JsonView failed = *report.find("failed");
  for (std::size_t i = 0; i < std::min(failed.size(), kFailedShown); ++i) {
    text += fmt::format("    {} failed in the stage {}: {}\n", text_of(failed.at(i), "name"),
                        text_of(failed.at(i), "stage"), text_of(failed.at(i), "reason"));
  }
  if (failed.size() > kFailedShown)
    text += fmt::format("    and {} more failed (all are in --json)\n", failed.size() - kFailedShown);
  text += fmt::format("  seed {}, grade {}, digest {}\n", count_of(report, "seed"), text_of(report, "grade"),
                      text_of(report, "digest"));
  const JsonView lowered = *report.find("lowered_by");
  for (std::size_t i = 0; i < lowered.size(); ++i) {
    text += fmt::format("    no higher grade: {}\n", lowered.at(i).as_string().value_or(""));
  }
  if (text_of(report, "result") != "pass") text += fmt::format("  again: {}\n", text_of(report, "replay"));
  return printable_lines(text);  // it quotes machines and their programs
}

}  // namespace rookery::vboot
