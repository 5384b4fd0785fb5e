// Whole runs over machines that follow a script, in virtual time: that each step comes at its time, and what
// the trace and the verdicts say of it. tests/guest/scenario_test.py does the same with real kernels.
#include "vboot/scenario/scenario_run.h"

#include <boost/test/unit_test.hpp>

#include "base/digest.h"
#include "tests/support/fake_lab.h"
#include "vboot/scenario/run_report.h"
#include "vboot/trace/compare.h"

namespace rookery::vboot {
namespace {

using backends::FakeStep;
using S = std::chrono::seconds;

// A server whose guest says something one second after each start. It speaks to no agent,
// so that it stays in the stage firmware, and no client is ever started.
struct FakeRun {
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-run-").value();
  SessionEvents nobody;
  RunWatcher watcher;
  std::optional<ScenarioPlan> plan;
  std::unique_ptr<LabSession> session;
  std::unique_ptr<ScenarioRun> scenario;
  RunOutcome outcome;
  TraceSummary summary;

  static backends::FakeScript script(char letter) {
    return {FakeStep{S(1), FakeStep::Print{std::string("hello ") + letter + "\n"}}};
  }

  FakeRun(const std::string& rest, char letter = 'a', std::uint64_t seed = 7) {
    const std::string text =
        "scenario: fake\nlab:\n  lab: fake\n  backend: fake\n  boot_timeout: 1 h\n  machines:\n    server: "
        "{role: boot-server, "
        "memory: 64 MiB}\n    n: {role: client, count: 2}\n" +
        rest;
    const auto parsed = parse_scenario(text, "fake.yaml");
    BOOST_REQUIRE_MESSAGE(parsed.has_value(), (parsed ? "" : parsed.error().message));
    auto planned = plan_scenario(*parsed, lab_of(*parsed).value(), {std::nullopt, seed});
    BOOST_REQUIRE_MESSAGE(planned.has_value(), (planned ? "" : planned.error().message));
    plan = std::move(*planned);
    session = open_session(fake_session(plan->lab, folder.path(), {{"server", script(letter)}}), nobody);
    auto recorded = Trace::create(session->loop(),
                                  Json::object().set("machines", Json::array().add(Json::string("server"))),
                                  {.file = trace_file(), .keep_frames = Bytes{512}})
                        .value();
    Trace& trace = *recorded;
    const Status made = session->make_lab(std::move(recorded));
    BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
    scenario = std::make_unique<ScenarioRun>(*session, *plan, trace, watcher);
    auto ran = scenario->run();
    BOOST_REQUIRE_MESSAGE(ran.has_value(), (ran ? "" : ran.error().message));
    outcome = std::move(*ran);
    summary = trace.finish().value();
  }
  std::filesystem::path trace_file() const { return folder.path() / "trace"; }
  double step_at(std::size_t index) const { return seconds(outcome.steps.at(index).at.value_or(S(-1))); }
};

constexpr const char* kEnd = "ends: {after: 1 min}\n";

}  // namespace

BOOST_AUTO_TEST_SUITE(scenario_run)

BOOST_AUTO_TEST_CASE(each_step_comes_at_its_time) {
  const FakeRun run(
      std::string("timeline:\n"
                  "  - {at: 10 s, power: cut server}\n"
                  "  - {when: server off, after: 5 s, power: on server}\n"
                  "  - {when: server firmware, power: cut n1}\n"
                  "  - {at: 30 s, fault: server down for=4s, name: pulled}\n"
                  "  - {when: fault pulled ended, after: 1 s, power: reset server}\n") +
      "expect:\n  - never: all off\n  - at_end: server firmware\n  - after_faults: server firmware\n" + kEnd);
  BOOST_TEST(run.step_at(0) == 10.0);
  BOOST_TEST(run.step_at(1) == 15.0);
  BOOST_TEST(run.step_at(2) == 0.0);
  BOOST_TEST(run.step_at(3) == 30.0);
  BOOST_TEST(run.step_at(4) == 35.0);
  BOOST_TEST((run.outcome.ended == S(60)));
  for (const Verdict& verdict : run.outcome.verdicts)
    BOOST_TEST(verdict.held, verdict.expectation + ": " + verdict.evidence);
}

BOOST_AUTO_TEST_CASE(in_a_quiet_time_what_would_begin_waits) {
  const FakeRun run(std::string("timeline:\n"
                                "  - {at: 5 s, quiet: 20 s}\n"
                                "  - {when: server firmware, after: 10 s, power: cut server}\n") +
                    kEnd);
  BOOST_TEST(run.step_at(1) == 25.0);
}

BOOST_AUTO_TEST_CASE(a_step_that_never_comes_and_one_that_cannot_be_done_fail_the_run) {
  const FakeRun run(std::string("timeline:\n"
                                "  - {when: n1 ready, power: cut n1}\n"
                                "  - {at: 1 s, power: press server}\n"
                                "workload:\n  - {run: uname -a}\n") +
                    kEnd);
  BOOST_TEST(!passed(run.outcome.verdicts));
  const Verdict& steps = run.outcome.verdicts.back();
  BOOST_TEST(steps.expectation == "every step happens");
  BOOST_TEST(steps.evidence.find("power cut n1 (line 10): the run ended before it") != std::string::npos);
  BOOST_TEST(steps.evidence.find("power press server (line 11): server has no agent") != std::string::npos);
  BOOST_TEST(run.outcome.verdicts.front().evidence == "it ran nowhere");
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_trace_and_one_changed_letter_is_found) {
  const std::string rest = std::string("timeline:\n  - {within: [10 s, 20 s], power: reset server}\n") + kEnd;
  const FakeRun one(rest), same(rest), other_byte(rest, 'b'), other_seed(rest, 'a', 8);
  BOOST_TEST((one.summary.digest == same.summary.digest));
  BOOST_TEST((one.summary.digest != other_byte.summary.digest));
  BOOST_TEST((one.summary.digest != other_seed.summary.digest));
  BOOST_TEST(!first_difference(one.trace_file(), same.trace_file()).value().has_value());
  const auto difference = first_difference(one.trace_file(), other_byte.trace_file()).value();
  BOOST_REQUIRE(difference.has_value());
  BOOST_TEST((difference->time == Time{S(1)}));
  BOOST_TEST(difference->machine.value() == "server");
  BOOST_TEST(difference->second_text == "1.000000000 s server, console: hello b");
}

BOOST_AUTO_TEST_CASE(the_report_says_it_all) {
  const FakeRun run(std::string("expect:\n  - eventually: all ready\n") + kEnd);
  RunFigures figures;
  figures.trace = run.summary;
  figures.grade = {Grade::frame_order, {"server is no User-Mode Linux"}};
  figures.replay = "rookery run fake.yaml --seed 7";
  const Json report = run_report(*run.plan, run.session->lab(), run.outcome, figures);
  BOOST_TEST(report.find("result")->as_string().value() == "fail");
  BOOST_TEST(report.find("digest")->as_string().value() == to_hex(run.summary.digest));
  BOOST_TEST(report.find("virtual_seconds")->as_number().value() == 60.0);
  const std::string words = in_words(report);
  BOOST_TEST(words.find("fake: FAIL (0 of 1 expectations held)\n  line 10  eventually: all ready\n") == 0u);
  BOOST_TEST(words.find("no higher grade: server is no User-Mode Linux") != std::string::npos);
  BOOST_TEST(words.find("again: rookery run fake.yaml --seed 7") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
