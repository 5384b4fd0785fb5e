// The parts of a Node, each without the others. Together they are tested with labs, in supervisor_test.cc.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "backends/fake/fake_backend.h"
#include "base/file.h"
#include "vboot/run/machine/agent_session.h"
#include "vboot/run/machine/boot_progress.h"
#include "vboot/run/machine/machine_cable.h"
#include "vboot/run/machine/seat.h"

namespace rookery::vboot {
namespace {

using S = std::chrono::seconds;
using backends::MachineState;

MachinePlan client() {
  MachinePlan plan;
  plan.name = "n1";
  plan.backend = "fake";
  plan.data_mac = {0x52, 0x54, 0, 0, 0, 1};
  plan.management_mac = MacBytes{0x0a, 0x52, 0x4b, 0, 0, 1};
  plan.boot_timeout = S(60);
  return plan;
}

void pass(EventLoop& loop, Duration time) {
  bool over = false;
  loop.after(time, [&] { over = true; });
  BOOST_REQUIRE(loop.run_until([&] { return over; }, std::chrono::hours(1)));
}

// Boot and agent of one machine, and the guest that speaks with them. What the Node does beside is here, too.
struct Bench : BootEvents, AgentEvents {
  EventLoop loop{std::make_unique<VirtualPacer>()};
  MachinePlan plan = client();
  std::vector<std::string> told;
  std::string missing = "no answer to its DHCP requests";
  bool heard = true;
  BootProgress boot{loop, plan, *this};
  AgentSession session;
  agent::Channel guest = agent::Channel::guest(77);
  std::vector<agent::Message> to_guest;

  explicit Bench(std::shared_ptr<const Gift> gift = nullptr)
      : session(loop, plan, {.role = {.roles = "client", .layers = {}, .files = {}}, .gift = std::move(gift)},
                boot, *this, [this](ByteView frame) { hear(frame); }) {}

  void stage_changed() override { told.emplace_back(to_string(boot.record().stage)); }
  std::string what_is_missing() const override { return missing; }
  bool is_heard() const override { return heard; }
  void boots_again() override {
    told.emplace_back("again");
    session.machine_booted();
    boot.begin();
  }

  void say(const agent::Message& message) {
    BOOST_REQUIRE(guest.send(agent::encode(message)).has_value());
    while (const auto segment = guest.next_segment(loop.now()))
      session.receive(agent::wrap_frame(agent::kHostAddress, *plan.management_mac, *segment));
  }
  void hear(ByteView frame) {
    guest.receive(agent::unwrap_frame(frame), loop.now());
    while (const auto message = guest.take_message()) to_guest.push_back(agent::decode(*message).value());
  }
  template <typename Kind>
  const Kind* heard_of() const {
    for (const agent::Message& message : to_guest)
      if (const auto* found = std::get_if<Kind>(&message)) return found;
    return nullptr;
  }
};

struct Run {
  std::string out, end;
  ExecEvents events() {
    return {[this](agent::Stream, ByteView bytes) { out += as_text(bytes); },
            [this](const Result<int>& code) { end += code ? std::to_string(*code) : code.error().message; },
            {}};
  }
};

struct Plugs final : CableEnd {
  std::vector<std::pair<backends::NicWire, backends::NicWire>> asked;
  std::string refusal;
  Result<std::vector<backends::NicPlug>> plugs(backends::NicWire wire,
                                               backends::NicWire management_wire) override {
    asked.emplace_back(wire, management_wire);
    if (!refusal.empty()) return fail(refusal);
    return std::vector<backends::NicPlug>{{.mac = {1, 2, 3, 4, 5, 6}, .socket = "far away", .wire = wire}};
  }
};

// Fakes, and what the last one was made of.
struct Backend final : backends::Backend {
  explicit Backend(EventLoop& loop) : fake(loop, {{"boots", {}}}) {}
  std::string_view name() const override { return fake.name(); }
  Result<backends::Capabilities> probe(const backends::Hardware& hardware) override {
    return fake.probe(hardware);
  }
  Result<std::unique_ptr<backends::Machine>> create(backends::MachineSpec spec,
                                                    backends::MachineEvents& events) override {
    made_of = spec;
    return fake.create(std::move(spec), events);
  }
  backends::FakeBackend fake;
  std::optional<backends::MachineSpec> made_of;
};

struct SeatBench : SeatEvents {
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  EventLoop loop{std::make_unique<VirtualPacer>()};
  MachinePlan plan = client();
  Plugs plugs;
  Backend backend{loop};
  std::vector<std::string> told;

  Result<std::unique_ptr<Seat>> make() {
    return Seat::make(loop, plan,
                      {.folder = folder.path() / "m" / "n1",
                       .memory_folder = folder.path(),
                       .boot = {.kernel = "boots", .initramfs = "rom", .words = " quiet"},
                       .medium_file = {},
                       .command_line = "console=hvc0"},
                      backend, plugs, *this);
  }
  void machine_changed(MachineState, const std::string& reason) override { told.push_back(reason); }
  void machine_wrote(std::string_view bytes) override { told.emplace_back(bytes); }
  void until(const std::function<bool()>& done) { BOOST_REQUIRE(loop.run_until(done, S(20))); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(machine_parts)

BOOST_AUTO_TEST_CASE(all_tries_of_a_boot_have_one_deadline) {
  Bench t;
  t.boot.begin();
  pass(t.loop, S(40));
  t.boot.restarts_itself();
  t.boot.went_off();
  t.boot.begin();
  BOOST_TEST(t.boot.record().restarts == 1u);
  BOOST_TEST(t.boot.record().restarted_for == t.missing);
  pass(t.loop, S(19));
  BOOST_TEST((t.boot.record().stage == Stage::firmware));
  pass(t.loop, S(2));
  BOOST_TEST((t.boot.record().stage == Stage::failed));
  BOOST_TEST(t.boot.record().said == "not ready after 60 s; it is still in the stage firmware");
  BOOST_TEST(t.told == (std::vector<std::string>{"firmware", "off", "firmware", "failed"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_failed_boot_is_told_of_once_and_its_end_not_at_all) {
  Bench t;
  t.boot.begin();
  t.boot.fail("it died", FailedBy::its_end);
  t.boot.fail("and again", FailedBy::its_end);
  t.boot.went_off();
  BOOST_TEST(t.boot.record().said == "it died");
  BOOST_TEST(t.told == (std::vector<std::string>{"firmware", "failed"}), boost::test_tools::per_element());
  // A cut leaves it as it is; a reset does not, for something comes after it.
  t.boot.cut(false);
  BOOST_TEST((t.boot.record().stage == Stage::failed));
  t.boot.cut(true);
  BOOST_TEST((t.boot.record().stage == Stage::off));
}

BOOST_AUTO_TEST_CASE(a_restart_that_was_announced_is_told_with_the_guests_words) {
  Bench t;
  t.boot.begin();
  t.say(agent::Hello{77, agent::Program::stage1});
  t.say(agent::Restarting{"the script says reboot"});
  BOOST_TEST(t.boot.restart_was_said());
  t.boot.restarts_itself();
  t.boot.begin();
  BOOST_TEST(t.boot.record().restarted_for == "the script says reboot");
  BOOST_TEST(!t.boot.restart_was_said());
}

BOOST_AUTO_TEST_CASE(stage_two_is_told_its_role_and_a_ready_machine_runs_commands) {
  Bench t;
  t.boot.begin();
  Run run;
  const auto too_early = t.session.exec({"true"}, run.events());
  BOOST_REQUIRE(!too_early.has_value());
  BOOST_TEST(too_early.error().message == "n1 is not ready (its stage is firmware)");
  t.say(agent::Hello{77, agent::Program::stage2, agent::Source::medium});
  BOOST_REQUIRE(t.heard_of<agent::Role>() != nullptr);
  BOOST_TEST(t.heard_of<agent::Role>()->name == "client");
  BOOST_TEST(t.heard_of<agent::Role>()->hostname == "n1");
  t.say(agent::Ready{});
  const auto request = t.session.exec({"uname", "-r"}, run.events());
  BOOST_REQUIRE(request.has_value());
  BOOST_REQUIRE(t.heard_of<agent::Exec>() != nullptr);
  t.say(agent::Output{*request, agent::Stream::out, {'6', '\n'}});
  t.say(agent::Exited{*request, true, 9});
  t.say(agent::Exited{*request, false, 0});  // it has ended already
  BOOST_TEST(run.out == "6\n");
  BOOST_TEST(run.end == "137");
}

BOOST_AUTO_TEST_CASE(a_gift_is_handed_over_before_the_system_starts_or_the_boot_has_failed) {
  for (const int code : {0, 1}) {
    Bench t(std::make_shared<Gift>(Gift{.tar = "a tar", .sha256 = {}, .files = 1, .packages = 0}));
    t.boot.begin();
    t.say(agent::Hello{77, agent::Program::stage2});
    const auto* script = t.heard_of<agent::Open>();
    BOOST_REQUIRE(script != nullptr);
    BOOST_TEST(script->argv == gift_script(), boost::test_tools::per_element());
    BOOST_REQUIRE(t.heard_of<agent::Role>() != nullptr);
    BOOST_TEST(t.heard_of<agent::Role>()->files.back().path == "run/rookery/handover");
    t.say(agent::Taken{script->request, 5});
    BOOST_REQUIRE(t.heard_of<agent::Input>() != nullptr);
    BOOST_TEST(as_text(t.heard_of<agent::Input>()->bytes) == "a tar");
    if (code != 0) t.say(agent::Output{script->request, agent::Stream::err, {'n', 'o', '\n'}});
    t.say(agent::Exited{script->request, false, static_cast<std::uint8_t>(code)});
    BOOST_TEST((t.boot.record().stage == Stage::failed) == (code != 0));
    BOOST_TEST(t.boot.record().said == (code != 0 ? "what the lab gives it could not be put in: no" : ""));
    BOOST_TEST((t.heard_of<agent::PowerOff>() != nullptr) == (code != 0));
  }
}

BOOST_AUTO_TEST_CASE(who_waits_for_a_program_hears_that_its_machine_is_gone) {
  Bench t;
  t.boot.begin();
  t.say(agent::Hello{77, agent::Program::agent});
  t.say(agent::Ready{});
  Run first, second;
  BOOST_REQUIRE(t.session.exec({"sleep", "9"}, first.events()).has_value());
  t.guest = agent::Channel::guest(78);  // the guest restarts, and its first stage speaks again
  t.say(agent::Hello{78, agent::Program::stage1});
  BOOST_TEST(first.end == "n1: the machine restarted");
  BOOST_TEST(t.told.back() == "firmware");
  t.say(agent::Hello{78, agent::Program::agent});
  t.say(agent::Ready{});
  BOOST_REQUIRE(t.session.exec({"sleep", "9"}, second.events()).has_value());
  t.session.machine_went_off("the machine went off: power cut");
  BOOST_TEST(second.end == "n1: the machine went off: power cut");
  BOOST_TEST(!t.session.ask_to_power_off().has_value());
}

BOOST_AUTO_TEST_CASE(what_is_said_after_a_cut_does_not_count) {
  Bench t;
  t.boot.begin();
  t.say(agent::Hello{77, agent::Program::agent});
  t.heard = false;
  t.say(agent::Ready{});
  BOOST_TEST((t.boot.record().stage == Stage::firmware));
}

BOOST_AUTO_TEST_CASE(a_conversation_goes_on_from_a_moment) {
  Bench t;
  t.boot.begin();
  t.say(agent::Hello{77, agent::Program::agent});
  t.say(agent::Ready{});
  const AgentSession::Moment moment = t.session.moment();
  const BootRecord record = t.boot.record();
  const agent::Channel guest = t.guest;
  t.session.machine_went_off("restored");
  t.boot.went_off();
  t.guest = guest;
  t.session.resume(moment);
  t.boot.go_back_to(record);
  Run run;
  const auto request = t.session.exec({"true"}, run.events());
  BOOST_REQUIRE(request.has_value());
  t.say(agent::Exited{*request, false, 0});
  BOOST_TEST(run.end == "0");
}

BOOST_AUTO_TEST_CASE(without_a_management_nic_there_is_no_agent) {
  Bench t;
  MachinePlan plan = client();
  plan.management_mac.reset();
  BootProgress boot(t.loop, plan, t);
  AgentSession session(t.loop, plan, {}, boot, t, [](ByteView) {});
  BOOST_TEST((boot.record().last == Stage::root));
  BOOST_TEST((session.silence() == Duration{0}));
  BOOST_TEST(session.ask_to_power_off().error().message ==
             "n1 has no agent that could be asked to power off");
  session.open_console();
  session.machine_went_off("power cut");
  session.resume(session.moment());
}

BOOST_AUTO_TEST_CASE(a_machine_is_plugged_in_where_its_cable_says) {
  SeatBench t;
  const auto seat = t.make();
  BOOST_REQUIRE(seat.has_value());
  BOOST_TEST(t.plugs.asked.size() == 1u);
  BOOST_REQUIRE(t.backend.made_of.has_value());
  const backends::MachineSpec& spec = *t.backend.made_of;
  BOOST_REQUIRE(spec.nics.size() == 1u);
  BOOST_TEST(spec.nics[0].socket == "far away");
  BOOST_TEST(spec.command_line == "console=hvc0 quiet");
  BOOST_TEST(spec.disks.empty());
  BOOST_TEST(((*seat)->state() == MachineState::off));
}

BOOST_AUTO_TEST_CASE(a_seat_that_cannot_be_made_says_why) {
  SeatBench t;
  t.plugs.refusal = "no room for a socket";
  BOOST_TEST(t.make().error().message == "no room for a socket");
  BOOST_TEST(!t.backend.made_of.has_value());
  t.plugs.refusal.clear();
  t.plan.storage_kernel = true;
  const auto seat = t.make();
  BOOST_REQUIRE(!seat.has_value());
  BOOST_TEST(seat.error().message.find("no kernel with iSCSI and NFS") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_snapshot_is_known_by_its_name_and_there_are_eight_at_most) {
  SeatBench t;
  auto made = t.make();
  BOOST_REQUIRE(made.has_value());
  Seat& seat = **made;
  BOOST_REQUIRE(seat.machine().start().has_value());
  const auto take = [&](const std::string& name) {
    std::optional<Status> done;
    const Status asked = seat.take_snapshot(name, [&](const Status& status) { done = status; });
    if (!asked) return asked;
    t.until([&] { return done.has_value(); });
    return *done;
  };
  for (int i = 0; i < 8; ++i) BOOST_TEST(take(std::to_string(i)).has_value());
  BOOST_TEST(take("3").has_value());
  BOOST_TEST(take("ninth").error().message ==
             "n1 has 8 snapshots already; a name of one of them replaces it");
  BOOST_TEST(seat.restore("ninth", [](const Status&) {}).error().message == "n1 has no snapshot 'ninth'");
  std::optional<Status> back;
  BOOST_REQUIRE(seat.restore("3", [&](const Status& status) { back = status; }).has_value());
  t.until([&] { return back.has_value(); });
  BOOST_TEST(back->has_value());
  BOOST_TEST(t.told == (std::vector<std::string>{"restored", "restored"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_cable_is_at_its_switch_as_long_as_it_is_there) {
  struct : CableEvents {
    void frame_passes(netsim::Direction, const netsim::Frame&) override {}
    void agent_frame(ByteView) override {}
  } nobody;
  const TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  EventLoop loop{std::make_unique<VirtualPacer>()};
  netsim::Switch to(loop, {});
  const MachinePlan plan = client();
  {
    MachineCable cable(loop, plan, {.folder = folder.path(), .vlans = {}}, to, nobody);
    BOOST_TEST(to.port_count() == 0u);
    const auto plugs = cable.plugs(backends::NicWire::vhost_user, backends::NicWire::stream);
    BOOST_REQUIRE(plugs.has_value());
    BOOST_REQUIRE(plugs->size() == 2u);
    BOOST_TEST(!plugs->at(0).management);
    BOOST_TEST(plugs->at(1).management);
    BOOST_TEST((plugs->at(1).wire == backends::NicWire::stream));
    for (const backends::NicPlug& plug : *plugs)
      BOOST_TEST(std::filesystem::is_socket(folder.path() / plug.socket));
    BOOST_TEST(to.port_count() == 1u);
    cable.for_faults().plug(false);
    BOOST_TEST(!cable.port().is_up());
    BOOST_TEST(cable.number_in_capture() == 0u);
  }
  BOOST_TEST(to.port_count() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
