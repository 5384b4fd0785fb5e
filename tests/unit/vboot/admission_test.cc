// Who is switched on when, and what others do to machines that wait for their turn.
#include <algorithm>

#include "tests/support/fake_guest.h"
#include "vboot/run/session/lab_why.h"
#include "vboot/run/session/report.h"

namespace rookery::vboot {
namespace {

constexpr Duration kLimit = std::chrono::seconds(20);

constexpr const char* kThree =
    "  server: {role: boot-server, memory: 256 MiB}\n  n: {role: client, memory: 64 MiB, count: 3}\n";

// The server is ready, n1 boots, n2 and n3 wait for their turn.
struct Queue : FakeLab {
  Queue() : FakeLab(kThree, {}, SessionTime::wall, 1) {
    BOOST_REQUIRE(lab->start().has_value());
    say_ready(*this, "server");
    BOOST_REQUIRE(loop.run_until([&] { return stage("n1") == Stage::firmware; }, kLimit));
    turn();
    BOOST_REQUIRE(lab->waits(node("n2")));
  }
  Node& node(const std::string& name) { return *lab->find(name); }
  Stage stage(const std::string& name) { return node(name).boot().stage; }
  // All that is due has happened.
  void turn() {
    bool over = false;
    loop.soon([&] { loop.soon([&] { loop.soon([&] { over = true; }); }); });
    BOOST_REQUIRE(loop.run_until([&] { return over; }, kLimit));
  }
  std::string reason(const std::string& name) { return node(name).boot().reason; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(admission)

BOOST_AUTO_TEST_CASE(one_that_somebody_switched_on_before_its_turn_boots_and_is_not_started_twice) {
  for (const bool by_reset : {false, true}) {
    Queue q;
    Node& early = q.node("n2");
    BOOST_REQUIRE((by_reset ? early.power(backends::PowerAction::reset) : early.power_on()).has_value());
    q.turn();
    BOOST_TEST((q.stage("n2") == Stage::firmware));
    BOOST_TEST(!q.lab->waits(early));
    say_ready(q, "n1");
    say_ready(q, "n2");
    BOOST_REQUIRE(q.loop.run_until([&] { return q.stage("n3") == Stage::firmware; }, kLimit));
    say_ready(q, "n3");
    BOOST_REQUIRE(q.loop.run_until([&] { return q.was_settled; }, kLimit));
    BOOST_TEST(q.lab->summary().failed.empty());
    BOOST_TEST(q.lab->summary().ready == 3u);
  }
}

BOOST_AUTO_TEST_CASE(one_that_was_cut_while_it_waited_stays_off_and_nobody_waits_for_it) {
  Queue q;
  BOOST_REQUIRE(q.node("n2").power(backends::PowerAction::cut).has_value());
  BOOST_TEST(!q.lab->waits(q.node("n2")));
  say_ready(q, "n1");
  BOOST_REQUIRE(q.loop.run_until([&] { return q.stage("n3") == Stage::firmware; }, kLimit));
  BOOST_TEST((q.stage("n2") == Stage::off));
  BOOST_TEST(!q.was_settled);
  say_ready(q, "n3");
  BOOST_REQUIRE(q.loop.run_until([&] { return q.was_settled; }, kLimit));
  const BootSummary summary = q.lab->summary();
  BOOST_TEST(summary.ready == 2u);
  BOOST_REQUIRE(summary.failed.size() == 1u);
  BOOST_TEST(summary.failed[0].name == "n2");
  BOOST_TEST(summary.failed[0].reason == "switched off before it was ready");
  // It may still be switched on.
  BOOST_REQUIRE(q.node("n2").power_on().has_value());
  say_ready(q, "n2");
  BOOST_TEST(q.lab->summary().failed.empty());
}

BOOST_AUTO_TEST_CASE(one_that_was_cut_while_it_booted_is_not_waited_for) {
  Queue q;
  BOOST_REQUIRE(q.node("n1").power(backends::PowerAction::cut).has_value());
  for (const char* name : {"n2", "n3"}) {
    BOOST_REQUIRE(q.loop.run_until([&] { return q.stage(name) == Stage::firmware; }, kLimit));
    say_ready(q, name);
  }
  BOOST_TEST(q.loop.run_until([&] { return q.was_settled; }, kLimit));
  BOOST_TEST((q.stage("n1") == Stage::off));
}

BOOST_AUTO_TEST_CASE(a_power_cut_that_ends_while_its_machine_waits_switches_it_on_and_is_waited_for) {
  Queue q;
  const auto cut = parse_fault("n2 power-cut for=200ms");
  BOOST_REQUIRE_MESSAGE(cut.has_value(), (cut ? "" : cut.error().message));
  BOOST_REQUIRE(q.lab->faults().set(*cut).has_value());
  q.turn();
  BOOST_TEST(!q.lab->waits(q.node("n2")));
  say_ready(q, "n1");
  BOOST_REQUIRE(q.loop.run_until([&] { return q.stage("n3") == Stage::firmware; }, kLimit));
  say_ready(q, "n3");
  q.turn();
  BOOST_REQUIRE(q.loop.run_until([&] { return q.stage("n2") == Stage::firmware; }, kLimit));
  BOOST_TEST(!q.was_settled);
  say_ready(q, "n2");
  BOOST_REQUIRE(q.loop.run_until([&] { return q.was_settled; }, kLimit));
  BOOST_TEST(q.lab->summary().ready == 3u);
}

BOOST_AUTO_TEST_CASE(who_is_awaited_is_named_with_the_reason) {
  Queue q;
  const std::string text = who_is_awaited(*q.lab, q.loop.now());
  BOOST_TEST(text.starts_with("3 of 3 clients are not ready\n  n1 (firmware): "), text);
  BOOST_TEST(text.find("\n  n2 (off): not started yet: others boot before it") != std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(what_was_refused_of_a_machine_is_in_ps_why_and_the_report) {
  Queue q;
  FakeNic nic(q, "n1", "net0");
  nic.send(ByteBuffer(5));
  nic.send(ByteBuffer(6));
  BOOST_REQUIRE(q.loop.run_until([&] { return !q.node("n1").refusals().empty(); }, kLimit));
  BOOST_REQUIRE(q.loop.run_until([&] { return q.node("n1").refusals()[0].count == 2; }, kLimit));
  const RunFacts facts{};
  const std::string refused =
      R"("refused":[{"where":"network card","what":"frames that are none","count":2}])";
  const auto has = [](const Json& report, const std::string& what) {
    const std::string text = report.dump();
    BOOST_TEST(text.find(what) != std::string::npos, text);
  };
  has(ps_report(*q.lab, facts, 1, q.loop.now()), refused);
  has(ps_report(*q.lab, facts, 1, q.loop.now()), R"("frame_pool":{"in_use_bytes":)");
  has(up_report(*q.lab, facts, Bytes{}), R"("refused":[{"name":"n1",)" + refused);
  has(why_report(*q.lab, q.node("n1"), q.loop.now()),
      "its devices refused or lost: 2 frames that are none (network card)");

  nic.share_no_queue();
  BOOST_REQUIRE(q.loop.run_until([&] { return !q.node("n1").given_up().empty(); }, kLimit));
  const std::string given_up =
      "its network card was given up: vhost-user: a queue of 7 entries is refused: a power of two up to 1024 "
      "is "
      "taken";
  has(ps_report(*q.lab, facts, 1, q.loop.now()), R"("given_up":[")" + given_up);
  has(why_report(*q.lab, q.node("n1"), q.loop.now()), given_up);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
