#include <boost/test/unit_test.hpp>

#include "vboot/scenario/grade.h"
#include "vboot/scenario/judge.h"
#include "vboot/scenario/last_lines.h"
#include "vboot/scenario/plan/scenario_plan.h"
#include "vboot/scenario/plan/scenario_words.h"

namespace rookery::vboot {
namespace {

using std::chrono::milliseconds;
using S = std::chrono::seconds;

// A scenario about a server and four clients, with what a test adds to it.
ScenarioPlan plan_of(const std::string& rest, std::uint64_t seed = 7) {
  const std::string text =
      "scenario: test\nlab: {lab: x, machines: {server: {role: boot-server}, n: {role: client, count: "
      "4}}}\n" +
      rest;
  const auto scenario = parse_scenario(text, "test.yaml");
  BOOST_REQUIRE_MESSAGE(scenario.has_value(), (scenario ? "" : scenario.error().message));
  auto plan = plan_scenario(*scenario, lab_of(*scenario).value(), {std::nullopt, seed});
  BOOST_REQUIRE_MESSAGE(plan.has_value(), (plan ? "" : plan.error().message));
  return std::move(*plan);
}

// The machines of such a scenario, moved by hand.
struct Machines {
  std::array<BootRecord, 5> records;
  std::vector<const BootRecord*> view() const {
    std::vector<const BootRecord*> all;
    for (const BootRecord& record : records) all.push_back(&record);
    return all;
  }
  void are(Stage stage) {
    for (BootRecord& record : records) record.stage = stage;
  }
  void fail(std::size_t index, const std::string& why) {
    records[index].stage = Stage::failed;
    records[index].failed_in = Stage::dhcp;
    records[index].reason = why;
  }
};

bool is_so(const std::string& sentence, const Machines& machines) {
  const ScenarioPlan plan = plan_of("expect: [{at_end: " + sentence + "}]\n");
  const auto view = machines.view();
  return holds(plan.expectations.front().condition, view);
}

Verdict judged(const std::string& expectation, const std::function<void(Judge&, Machines&)>& story,
               bool fault = false) {
  const ScenarioPlan plan = plan_of((fault ? "timeline: [{at: 1 s, fault: n1 down for=1s}]\n" : "") +
                                    ("expect: [{" + expectation + "}]\n"));
  Machines machines;
  Judge judge(plan, machines.view());
  story(judge, machines);
  return judge.verdicts(S(100), machines.view()).front();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(scenario)

BOOST_AUTO_TEST_CASE(sentences_about_machines_say_what_they_seem_to) {
  Machines machines;
  machines.are(Stage::ready);
  machines.fail(2, "no answer to DHCP");
  BOOST_TEST(!is_so("all ready", machines));
  BOOST_TEST(is_so("all ready or failed", machines));
  BOOST_TEST(is_so("any failed", machines));
  BOOST_TEST(!is_so("no failed", machines));
  BOOST_TEST(is_so("no server failed", machines));
  BOOST_TEST(is_so("at least 3 ready", machines));
  BOOST_TEST(is_so("at least 75% of n* ready", machines));
  BOOST_TEST(!is_so("at least 76% ready", machines));
  BOOST_TEST(is_so("at most 1 failed", machines));
  BOOST_TEST(is_so("n1 n3 ready", machines));
  BOOST_TEST(!is_so("n2 ready", machines));
  BOOST_TEST(is_so("boot-server ready", machines));
  BOOST_TEST(!is_so("everything ready", machines));
}

BOOST_AUTO_TEST_CASE(a_machine_that_failed_for_another_reason_does_not_count) {
  const ScenarioPlan plan = plan_of("expect: [{at_end: all ready or failed, reason: DHCP}]\n");
  Machines machines;
  machines.are(Stage::ready);
  machines.fail(2, "no answer to DHCP");
  BOOST_TEST(holds(plan.expectations.front().condition, machines.view()));
  machines.fail(2, "it died");
  const auto view = machines.view();
  BOOST_TEST(!holds(plan.expectations.front().condition, view));
  BOOST_TEST(evidence(plan.expectations.front().condition, view, plan.lab) ==
             "3 of 4; n2: failed in the stage dhcp: it died");
}

BOOST_AUTO_TEST_CASE(eventually_holds_when_it_was_so_in_time) {
  const auto ready_at = [](S when) {
    return [when](Judge& judge, Machines& machines) {
      judge.observe(S(0), machines.view(), true);
      machines.are(Stage::ready);
      judge.observe(when, machines.view(), true);
      machines.are(Stage::off);
      judge.observe(S(90), machines.view(), true);
    };
  };
  BOOST_TEST(judged("eventually: all ready, within: 20 s", ready_at(S(20))).held);
  BOOST_TEST(!judged("eventually: all ready, within: 20 s", ready_at(S(21))).held);
  BOOST_TEST(judged("eventually: all ready", ready_at(S(80))).held);
}

BOOST_AUTO_TEST_CASE(never_is_broken_by_what_becomes_so_and_not_by_what_was) {
  const auto story = [](Judge& judge, Machines& machines) {
    machines.are(Stage::ready);
    judge.observe(S(1), machines.view(), true);
    machines.records[1].stage = Stage::off;
    judge.observe(S(2), machines.view(), true);
  };
  const Verdict verdict = judged("never: any off", story);
  BOOST_TEST(!verdict.held);
  BOOST_TEST(verdict.evidence == "at 2.000 s: 1 of 4");
  BOOST_TEST(judged("never: any off", [](Judge& judge, Machines& machines) {
               judge.observe(S(1), machines.view(), true);
             }).held);
}

BOOST_AUTO_TEST_CASE(after_faults_counts_from_the_end_of_the_last) {
  const auto ready_after = [](S time) {
    return [time](Judge& judge, Machines& machines) {
      machines.are(Stage::ready);
      judge.observe(S(1), machines.view(), false);
      machines.are(Stage::root);
      judge.observe(S(2), machines.view(), true);
      judge.observe(S(3), machines.view(), false);  // another one
      judge.observe(S(10), machines.view(), true);
      machines.are(Stage::ready);
      judge.observe(S(10) + time, machines.view(), true);
    };
  };
  BOOST_TEST(judged("after_faults: all ready, within: 5 s", ready_after(S(5)), true).held);
  const Verdict late = judged("after_faults: all ready, within: 5 s", ready_after(S(6)), true);
  BOOST_TEST(!late.held);
  BOOST_TEST(late.evidence ==
             "the faults ended at 10.000 s; too late: it came true at 16.000 s, 1.000 s after the time was "
             "up (4 of 4)");
}

BOOST_AUTO_TEST_CASE(what_came_too_late_does_not_read_like_success) {
  const auto story = [](bool stays) {
    return [stays](Judge& judge, Machines& machines) {
      judge.observe(S(0), machines.view(), true);
      machines.are(Stage::ready);
      judge.observe(S(45), machines.view(), true);
      if (!stays) machines.records[1].stage = Stage::root;
      judge.observe(S(60), machines.view(), true);
    };
  };
  const Verdict late = judged("eventually: all ready, within: 30 s", story(true));
  BOOST_TEST(!late.held);
  BOOST_TEST(late.evidence == "too late: it came true at 45.000 s, 15.000 s after the time was up (4 of 4)");
  BOOST_TEST(judged("eventually: all ready, within: 30 s", story(false)).evidence ==
             late.evidence + "; at the end, at 100.000 s: 3 of 4; n1: root");
  BOOST_TEST(judged("eventually: n1 failed, within: 30 s", story(true)).evidence.find("too late") ==
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_pattern_is_compiled_once_however_many_machines_it_is_asked_of) {
  const ScenarioPlan plan = plan_of(
      "expect: [{at_end: all failed, reason: 'no (answer|offer)'}]\nworkload: [{run: x, output: '^7$'}]\n");
  const auto& reason = plan.expectations.front().condition.condition.reason;
  BOOST_REQUIRE(reason.has_value());
  BOOST_TEST(reason->shares(ScenarioPlan(plan).expectations.front().condition.condition.reason.value()));
  BOOST_TEST(reason->fits("got no offer"));
  BOOST_TEST(!reason->fits("nothing"));
  const auto& output = std::get<ProgramStep>(plan.steps.front().step.what).output;
  BOOST_TEST(output->fits("6\n7\n"));
  BOOST_TEST(!output->fits("77"));
}

BOOST_AUTO_TEST_CASE(the_end_of_what_a_program_said_is_one_line) {
  BOOST_TEST(last_lines("") == "");
  BOOST_TEST(last_lines("one\n") == "one");
  BOOST_TEST(last_lines("a\nb\n\nc\r\nError: no such file\n\n") == "b / c / Error: no such file");
  const std::string cut = last_lines(std::string(500, 'x') + "é" + std::string(399, 'y'));
  BOOST_TEST(cut == "…" + std::string(399, 'y'));
}

BOOST_AUTO_TEST_CASE(the_seed_chooses_moments_and_machines_and_one_more_step_shifts_no_other) {
  const std::string step = "  - {within: [5 s, 20 s], power: cut 2 of n*}\n";
  const auto chosen = [&](const std::string& before, std::uint64_t seed) {
    const PlannedStep made = plan_of("timeline:\n" + before + step, seed).steps.back();
    return std::pair(made.after, made.machines);
  };
  const auto first = chosen("", 7);
  BOOST_TEST((first.first >= S(5) && first.first <= S(20)));
  BOOST_TEST(first.second.size() == 2u);
  BOOST_TEST((first == chosen("", 7)));
  BOOST_TEST((first == chosen("  - {within: [1 s, 3 s], power: reset n1}\n", 7)));
  BOOST_TEST((first.first != chosen("", 8).first));
}

BOOST_AUTO_TEST_CASE(a_line_runs_in_a_shell_and_a_list_is_a_program) {
  const ScenarioPlan plan = plan_of("workload: [{run: echo a b}, {run: [echo, a b]}]\n");
  BOOST_TEST((std::get<ProgramStep>(plan.steps[0].step.what).argv ==
              std::vector<std::string>{"sh", "-c", "echo a b"}));
  BOOST_TEST(
      (std::get<ProgramStep>(plan.steps[1].step.what).argv == std::vector<std::string>{"echo", "a b"}));
  BOOST_TEST(plan.steps[0].on->event.text == "all ready");
}

BOOST_AUTO_TEST_CASE(patterns_that_would_take_for_ever_are_refused) {
  BOOST_TEST(Pattern::compile("^n[0-9]{1,3}$").has_value());
  for (const char* pattern : {"(a{99}){99}", "a{99}{99}", "a(", "*{3}"})
    BOOST_TEST(!Pattern::compile(pattern).has_value());
  BOOST_TEST(!Pattern::compile(std::string(501, 'a')).has_value());
}

BOOST_AUTO_TEST_CASE(a_grade_is_lowered_and_says_why) {
  const LabPlan lab = plan_of("").lab;
  BOOST_TEST((grade_of(lab, true, {}).grade == Grade::bit_exact));
  const GradeReport wall = grade_of(lab, false, {});
  BOOST_TEST((wall.grade == Grade::frame_order));
  BOOST_TEST(wall.reasons.size() == 1u);
  LabPlan mixed = lab;
  mixed.machines[1].backend = "qemu";
  BOOST_TEST((grade_of(mixed, true, {}).grade == Grade::frame_order));

  NoticeReader notices;
  notices.read("n1", "rookery: the processor's own random or processor number: dd, in /usr/bin/");
  notices.read("n2", "rookery: time stamp counter answered from virtual time: ld, in /lib/ld.so\r\n");
  notices.read("n1", "dice\r\nother\n");
  BOOST_TEST(notices.dangers().size() == 1u);
  BOOST_TEST(notices.answered().size() == 1u);
  BOOST_TEST((grade_of(lab, true, notices.dangers()).grade == Grade::frame_order));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
