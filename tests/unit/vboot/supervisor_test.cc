#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>

#include "tests/support/fake_lab.h"
#include "vboot/run/admission/memory_use.h"
#include "vboot/run/admission/resources.h"
#include "vboot/run/machine/agent_client.h"
#include "vboot/run/machine/console_log.h"
#include "vboot/run/session/report.h"
#include "vboot/watch/boot_record.h"

namespace rookery::vboot {
namespace {

using backends::FakeStep;
using std::chrono::milliseconds;
using S = std::chrono::seconds;

}  // namespace

BOOST_AUTO_TEST_SUITE(supervisor)

BOOST_AUTO_TEST_CASE(memory_is_counted_with_what_a_process_has_started) {
  constexpr std::size_t kSize = std::size_t{64} << 20;
  const Bytes before = proportional_memory({::getpid()});
  int line[2];
  BOOST_REQUIRE_EQUAL(::pipe2(line, O_CLOEXEC), 0);
  const UniqueFd ours(line[0]), theirs(line[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memset(memory, 1, kSize);
    (void)!::write(theirs.get(), "x", 1);
    for (;;) ::pause();
  }
  char byte;
  BOOST_TEST(::read(ours.get(), &byte, 1) == 1);
  const Bytes with_child = proportional_memory({::getpid(), ::getpid()});
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  BOOST_TEST(with_child.count >= before.count + kSize * 9 / 10);
}

BOOST_AUTO_TEST_CASE(a_boot_moves_on_and_never_back) {
  BootRecord boot;
  boot.power_on(Time{S(1)});
  boot.enter(Stage::script, "a script", Time{S(2)});
  boot.enter(Stage::dhcp, "late word", Time{S(3)});
  BOOST_TEST((boot.stage == Stage::script));
  BOOST_TEST((boot.since == Time{S(2)}));
  boot.enter(Stage::ready, "", Time{S(4)});
  BOOST_TEST(boot.settled());
}

BOOST_AUTO_TEST_CASE(virtual_time_begins_at_the_images_date_or_where_the_lab_says) {
  const auto begins = [](const std::string& words, std::int64_t created) {
    const std::string lab = "lab: test\n" + words + "machines:\n  server: {role: boot-server}\n";
    ImageFacts image;
    image.created = created;
    return clock_at_start(plan_lab(parse_lab(lab, "test.yaml").value(), {}).value(), image);
  };
  constexpr std::int64_t kNovember = 1'794'787'200;  // 2026-11-16
  BOOST_TEST(begins("", kNovember).value() == kNovember);
  BOOST_TEST(begins("clock: 2027-03-01\n", kNovember).value() == 1'803'859'200);
  BOOST_TEST(begins("clock: 2026-11-16\n", kNovember).value() == kNovember);
  const auto early = begins("clock: 2026-11-15\n", kNovember);
  BOOST_TEST((early.error().kind == ErrorKind::usage));
  BOOST_TEST(
      early.error().message ==
      "test.yaml:2:8: the clock cannot begin at 2026-11-15 00:00:00: the image debian-12 is of 2026-11-16 "
      "00:00:00, and its files would be of the future; take that time or a later one, or leave 'clock' out");
  // A manifest may say any year.
  BOOST_TEST(begins("", 253'402'300'799).value() == kLatestClock);
}

BOOST_AUTO_TEST_CASE(a_console_keeps_its_end_and_gives_plain_lines) {
  ConsoleLog console(Bytes{16});
  std::string followed;
  const int id = console.follow([&](std::string_view bytes) { followed += bytes; });
  for (int i = 0; i < 10; ++i) console.append("line " + std::to_string(i) + "\r\n");
  BOOST_TEST(console.text().size() <= 32u);
  BOOST_TEST(console.dropped() + console.text().size() == followed.size());
  BOOST_TEST((console.last_lines(2) == std::vector<std::string>{"line 8", "line 9"}));
  // As SeaBIOS writes to a serial port: it moves the cursor in the middle of a word, and names colours.
  ConsoleLog serial;
  serial.append("\x1b[0mthe m\x1b[09;08H\x1b[09;09Hedium\r\n\x1b[");
  BOOST_TEST((serial.last_lines(1) == std::vector<std::string>{"the medium"}));
  serial.append(
      "\n\xc2\x9b"
      "2J and \u202egnol\n");
  BOOST_TEST((serial.last_lines(1) == std::vector<std::string>{"\\x9b2J and \\u202egnol"}));
  console.unfollow(id);
  console.append("x");
  BOOST_TEST(followed.back() == '\n');
}

BOOST_AUTO_TEST_CASE(an_agent_is_heard_and_answered_over_frames) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  const agent::MacAddress mac{0x0a, 0x52, 0x4b, 0, 0, 1};
  agent::Channel guest = agent::Channel::guest(77);
  std::vector<std::string> heard;
  std::vector<ByteBuffer> to_guest;
  AgentClient client(
      loop, mac,
      [&](const agent::Message& message) {
        if (const auto* stage = std::get_if<agent::Stage>(&message)) heard.push_back(stage->detail);
      },
      [&](ByteView frame) { to_guest.emplace_back(frame.begin(), frame.end()); });
  BOOST_TEST(!client.in_session());
  BOOST_TEST(!client.send(agent::PowerOff{}).has_value());  // nobody has spoken yet
  BOOST_REQUIRE(guest.send(agent::encode(agent::Stage{agent::BootStage::root, "the share"})).has_value());
  while (const auto segment = guest.next_segment(loop.now())) {
    client.receive(agent::wrap_frame(agent::kHostAddress, mac, *segment));
  }
  BOOST_TEST(heard == std::vector<std::string>{"the share"});
  BOOST_REQUIRE(client.send(agent::PowerOff{}).has_value());
  bool told = false;
  for (const ByteBuffer& frame : to_guest) guest.receive(agent::unwrap_frame(frame), loop.now());
  while (const auto message = guest.take_message()) {
    told |= std::holds_alternative<agent::PowerOff>(agent::decode(*message).value());
  }
  BOOST_TEST(told);
  // Until the guest has acknowledged it, it is silent.
  const auto pass = [&](Duration time) {
    bool over = false;
    loop.after(time, [&] { over = true; });
    loop.run_until([&] { return over; }, std::chrono::hours(1));
  };
  pass(std::chrono::seconds(5));
  BOOST_TEST((client.silence() == std::chrono::seconds(5)));
  for (const ByteBuffer& frame : to_guest) guest.receive(agent::unwrap_frame(frame), loop.now());
  while (const auto segment = guest.next_segment(loop.now()))
    client.receive(agent::wrap_frame(agent::kHostAddress, mac, *segment));
  BOOST_TEST((client.silence() == Duration{0}));
  pass(std::chrono::seconds(50));
  BOOST_TEST((client.silence() == Duration{0}));  // it owes nothing
  client.receive(as_bytes("no frame of ours"));
  BOOST_TEST(client.malformed() == 1u);
}

BOOST_AUTO_TEST_CASE(a_boot_server_that_dies_ends_the_boot_and_no_client_is_started) {
  FakeLab t(
      kTwo,
      {{"server",
        {{S(1), FakeStep::Print{"panic: out of luck\n"}}, {S(1), FakeStep::Crash{"killed by signal 6"}}}}});
  BOOST_REQUIRE(t.lab->start().has_value());
  BOOST_REQUIRE(t.loop.run_until([&] { return t.was_settled; }, std::chrono::hours(1)));
  const BootSummary summary = t.lab->summary();
  BOOST_TEST(summary.ready == 0u);
  BOOST_REQUIRE(summary.failed.size() == 3u);
  BOOST_TEST(summary.failed[0].name == "server");
  BOOST_TEST(summary.failed[0].reason == "it died, killed by signal 6; console: panic: out of luck");
  BOOST_TEST(summary.failed[1].reason == "not started: the boot server failed");
  BOOST_TEST((t.lab->find("n1")->state() == backends::MachineState::off));
}

BOOST_AUTO_TEST_CASE(a_machine_that_hangs_is_given_up_at_its_deadline) {
  FakeLab t(
      "  server: {role: boot-server, memory: 256 MiB, boot_timeout: 30 s}\n  n: {role: client, memory: 64 "
      "MiB}\n",
      {});
  BOOST_REQUIRE(t.lab->start().has_value());
  BOOST_REQUIRE(t.loop.run_until([&] { return t.was_settled; }, std::chrono::hours(1)));
  BOOST_TEST((t.loop.now() == Time{S(30)}));
  BOOST_TEST(
      t.lab->summary().failed.at(0).reason ==
      "not ready after 30 s; it is still in the stage firmware; it has sent nothing on its cable since its "
      "power-on at 0.000 s");
}

BOOST_AUTO_TEST_CASE(a_machine_that_powers_itself_off_too_early_has_failed) {
  FakeLab t(kTwo, {{"server", {{S(1), FakeStep::PowerOff{}}}}});
  BOOST_REQUIRE(t.lab->start().has_value());
  BOOST_REQUIRE(t.loop.run_until([&] { return t.was_settled; }, std::chrono::hours(1)));
  BOOST_TEST(t.lab->summary().failed.at(0).reason == "it went off before it was ready: powered off");
}

BOOST_AUTO_TEST_CASE(a_machine_that_resets_itself_on_its_way_begins_anew_until_its_time_is_over) {
  FakeLab t("  server: {role: boot-server, boot_timeout: 30 s}\n  n: {role: client}\n",
            {{"server", {{S(4), FakeStep::Reset{}}}}});
  BOOST_REQUIRE(t.lab->start().has_value());
  BOOST_REQUIRE(t.loop.run_until([&] { return t.was_settled; }, std::chrono::hours(1)));
  BOOST_TEST((t.loop.now() == Time{S(30)}));  // one time for all of its tries
  BOOST_TEST(
      t.lab->summary().failed.at(0).reason ==
      "not ready after 30 s; it is still in the stage firmware; it has sent nothing on its cable since its "
      "power-on at 28.000 s; it has restarted itself 7 times before that, the last time: it has sent nothing "
      "on "
      "its cable since its power-on at 24.000 s");
}

BOOST_AUTO_TEST_CASE(a_machine_whose_kernel_panics_and_resets_it_has_failed) {
  FakeLab t(
      kTwo,
      {{"server",
        {{S(1), FakeStep::Print{"Kernel panic - not syncing: no init\n"}}, {S(1), FakeStep::Reset{}}}}});
  BOOST_REQUIRE(t.lab->start().has_value());
  BOOST_REQUIRE(t.loop.run_until([&] { return t.was_settled; }, std::chrono::hours(1)));
  BOOST_TEST(t.lab->summary().failed.at(0).reason ==
             "it went off before it was ready: reset by the guest; its kernel panicked: Kernel panic - not "
             "syncing: no init");
}

BOOST_AUTO_TEST_CASE(a_cut_machine_is_off_and_not_failed_and_starts_again) {
  FakeLab t(kTwo, {});
  BOOST_REQUIRE(t.lab->start().has_value());
  Node* server = t.lab->find("server");
  BOOST_REQUIRE(server->power(backends::PowerAction::cut).has_value());
  t.loop.run_until([] { return false; }, milliseconds(1));
  BOOST_TEST((server->boot().stage == Stage::off));
  BOOST_REQUIRE(server->power(backends::PowerAction::reset).has_value());
  BOOST_TEST((server->boot().stage == Stage::firmware));
  BOOST_REQUIRE(server->power(backends::PowerAction::reset).has_value());
  t.loop.run_until([] { return false; }, milliseconds(1));
  BOOST_TEST((server->boot().stage == Stage::firmware));
  BOOST_TEST((server->state() == backends::MachineState::running));
}

BOOST_AUTO_TEST_CASE(what_the_power_switch_does_shows_at_once_and_on_after_cut_is_heeded) {
  FakeLab t(kTwo, {});
  BOOST_REQUIRE(t.lab->start().has_value());
  Node* server = t.lab->find("server");
  BOOST_REQUIRE(server->power(backends::PowerAction::cut).has_value());
  // Its end is an event to come: nobody who asks now may take it for running.
  BOOST_TEST((server->state() == backends::MachineState::running));
  BOOST_TEST((server->boot().stage == Stage::off));
  BOOST_REQUIRE(server->power_on().has_value());
  t.loop.run_until([] { return false; }, milliseconds(1));
  BOOST_TEST((server->state() == backends::MachineState::running));
  BOOST_TEST((server->boot().stage == Stage::firmware));
  // The last word counts.
  BOOST_REQUIRE(server->power(backends::PowerAction::cut).has_value());
  BOOST_REQUIRE(server->power_on().has_value());
  BOOST_REQUIRE(server->power(backends::PowerAction::cut).has_value());
  t.loop.run_until([] { return false; }, milliseconds(1));
  BOOST_TEST((server->state() == backends::MachineState::off));
  // A running machine is not started.
  BOOST_REQUIRE(server->power_on().has_value());
  BOOST_TEST(!server->power_on().has_value());
  BOOST_REQUIRE(server->power(backends::PowerAction::reset).has_value());
  BOOST_TEST((server->boot().stage == Stage::off));
  BOOST_TEST(!server->power_on().has_value());
}

BOOST_AUTO_TEST_CASE(who_is_switched_on_twice_at_once_runs) {
  FakeLab t(kTwo, {});
  BOOST_REQUIRE(t.lab->start().has_value());
  Node* server = t.lab->find("server");
  // Somebody who waits for its end is quicker than what was asked for before.
  t.on_stage = [&](const Node& node) {
    if (node.boot().stage == Stage::off && node.state() == backends::MachineState::off)
      t.loop.soon([&] { BOOST_TEST(server->power_on().has_value()); });
  };
  BOOST_REQUIRE(server->power(backends::PowerAction::cut).has_value());
  BOOST_REQUIRE(server->power_on().has_value());
  t.loop.run_until([] { return false; }, milliseconds(1));
  BOOST_TEST((server->state() == backends::MachineState::running));
  BOOST_TEST((server->boot().stage == Stage::firmware));
}

BOOST_AUTO_TEST_CASE(a_cut_before_the_turn_in_which_a_machine_comes_on_again_is_heeded) {
  FakeLab t(kTwo, {});
  BOOST_REQUIRE(t.lab->start().has_value());
  Node* server = t.lab->find("server");
  t.on_stage = [&](const Node& node) {
    if (node.boot().stage == Stage::off && node.state() == backends::MachineState::off)
      BOOST_TEST(server->power(backends::PowerAction::cut).has_value());
  };
  BOOST_REQUIRE(server->power(backends::PowerAction::cut).has_value());
  BOOST_REQUIRE(server->power_on().has_value());
  t.loop.run_until([] { return false; }, milliseconds(1));
  BOOST_TEST((server->state() == backends::MachineState::off));
  BOOST_TEST((server->boot().stage == Stage::off));
}

BOOST_AUTO_TEST_CASE(a_machine_goes_back_to_the_boot_of_its_snapshot) {
  FakeLab t(kTwo, {});
  BOOST_REQUIRE(t.lab->start().has_value());
  Node* server = t.lab->find("server");
  std::optional<Status> done;
  const auto when_done = [&](const Status& status) { done = status; };
  const auto wait = [&] {
    BOOST_REQUIRE(t.loop.run_until([&] { return done.has_value(); }, S(20)));
    BOOST_TEST(done->has_value());
    done.reset();
  };
  BOOST_REQUIRE(server->take_snapshot("s", when_done).has_value());
  wait();
  // One that runs is off until it is back.
  BOOST_REQUIRE(server->restore("s", when_done).has_value());
  BOOST_TEST(!server->is_on());
  wait();
  BOOST_TEST(server->is_on());
  BOOST_TEST((server->boot().stage == Stage::firmware));
  BOOST_REQUIRE(server->power(backends::PowerAction::cut).has_value());
  t.loop.run_until([] { return false; }, milliseconds(1));
  BOOST_TEST((server->boot().stage == Stage::off));
  BOOST_REQUIRE(server->restore("s", when_done).has_value());
  wait();
  BOOST_TEST(server->is_on());
  BOOST_TEST((server->boot().stage == Stage::firmware));
}

BOOST_AUTO_TEST_CASE(a_failure_is_told_once) {
  FakeLab t(kTwo, {{"server", {{S(1), FakeStep::Crash{"exit code 1"}}}}});
  BOOST_REQUIRE(t.lab->start().has_value());
  BOOST_REQUIRE(t.loop.run_until([&] { return t.was_settled; }, std::chrono::hours(1)));
  BOOST_TEST(std::count(t.told.begin(), t.told.end(), "server failed") == 1);
}

BOOST_AUTO_TEST_CASE(the_report_has_the_keys_that_scripts_rely_on) {
  FakeLab t(kTwo, {{"server", {{S(1), FakeStep::Crash{"x"}}}}});
  BOOST_REQUIRE(t.lab->start().has_value());
  BOOST_REQUIRE(t.loop.run_until([&] { return t.was_settled; }, std::chrono::hours(1)));
  RunFacts facts;
  facts.grade = "none";
  const Json up = up_report(*t.lab, facts, mebibytes(3));
  for (const char* key :
       {"lab", "machines", "ready", "failed", "seconds", "memory_peak_bytes", "boot_server_bytes"}) {
    BOOST_TEST(up.find(key).has_value(), key);
  }
  BOOST_TEST(up.find("failed")->at(0).find("stage")->as_string().value() == "firmware");
  const Json ps = ps_report(*t.lab, facts, 42, t.loop.now());
  BOOST_TEST(ps.find("supervisor_pid")->as_integer().value() == 42);
  BOOST_TEST(ps.find("machines")->size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_lab_that_does_not_fit_is_refused_with_the_arithmetic) {
  PlanOptions options;
  options.nodes = 1000;
  const LabPlan plan =
      plan_lab(parse_lab("lab: big\nmachines:\n  server: {role: boot-server, memory: 512 MiB}\n"
                         "  n: {role: client, memory: 64 MiB, count: 2}\n",
                         "big.yaml")
                   .value(),
               options)
          .value();
  HostResources host{mebibytes(24'000), mebibytes(24'000), 1'000'000, 100'000};
  BOOST_TEST(check_fits(plan, host).has_value());
  host.memory_files_free = mebibytes(12'000);
  host.descriptors = 4096;
  host.processes = 10'000;
  const auto refused = check_fits(plan, host);
  BOOST_REQUIRE(!refused.has_value());
  const std::string& why = refused.error().message;
  BOOST_TEST(why.find("memory: 1001 machines are predicted to use 18512 MiB") != std::string::npos, why);
  BOOST_TEST(why.find("/dev/shm, where guest memory lies, has 12000 MiB") != std::string::npos, why);
  BOOST_TEST(why.find("the host has") == std::string::npos, why);
  BOOST_TEST(why.find("need 16144 (16 each, and 128), and this user may have 4096") != std::string::npos,
             why);
  BOOST_TEST(why.find("processes: 1001 machines need up to 12064") != std::string::npos, why);
  BOOST_TEST((refused.error().kind == ErrorKind::infrastructure));

  // What this user has already counts.
  host = {mebibytes(24'000), mebibytes(24'000), 1'000'000, 13'000};
  host.processes_used = 1'000;
  BOOST_TEST(check_fits(plan, host).error().message.find("may have 13000 and has 1000:") !=
             std::string::npos);
  host.processes_used = 900;
  BOOST_TEST(check_fits(plan, host).has_value());

  // QEMU's machines are larger, and have no files there.
  LabPlan pcs = plan;
  for (MachinePlan& machine : pcs.machines) machine.backend = "qemu";
  for (MachinePlan& machine : pcs.machines) machine.memory = mebibytes(512);
  host = {mebibytes(24'000), Bytes{}, 1'000'000, 100'000};
  const auto too_many = check_fits(pcs, host);
  BOOST_REQUIRE(!too_many.has_value());
  BOOST_TEST(too_many.error().message.find("memory: 1001 machines are predicted to use 256512 MiB") !=
             std::string::npos);
  BOOST_TEST(too_many.error().message.find("/dev/shm") == std::string::npos);
  BOOST_TEST(!hindrance(pcs.machines[1], host).has_value());
  host.memory_available = mebibytes(500);
  BOOST_TEST(hindrance(pcs.machines[1], host).value().ends_with("only 500 MiB left (of memory)"));

  // So are libvirt's, which QEMU runs as well; the memory of Xen's is the hypervisor's.
  for (MachinePlan& machine : pcs.machines) machine.backend = "libvirt";
  BOOST_TEST(predict_use(pcs).memory.count == mebibytes(256'512).count);
  for (MachinePlan& machine : pcs.machines) {
    machine.backend = "xen";
    machine.hardware.chipset = backends::Chipset::pc;
  }
  BOOST_TEST(predict_use(pcs).memory.count == mebibytes(1001 * 64).count);
  for (MachinePlan& machine : pcs.machines) machine.hardware.chipset = backends::Chipset::pvh;
  BOOST_TEST(predict_use(pcs).memory.count == mebibytes(1001 * 4).count);

  // The same while it comes up.
  host.memory_available = mebibytes(24'000);
  host.memory_files_free = mebibytes(300);
  BOOST_TEST(!hindrance(plan.machines[1], host).has_value());
  host.memory_files_free = mebibytes(270);
  BOOST_TEST(hindrance(plan.machines[1], host).value() ==
             "not started: it is predicted to use 18 MiB and 256 MiB stay in reserve, and the host has only "
             "270 MiB left "
             "(in /dev/shm)");
}

BOOST_AUTO_TEST_CASE(a_mount_or_a_limit_under_which_no_machine_can_live_is_named_with_its_remedy) {
  const Lab lab = parse_lab(std::string("lab: two\nmachines:\n") + kTwo, "two.yaml").value();
  LabPlan plan = plan_lab(lab, {}).value();
  HostResources host{mebibytes(24'000), mebibytes(24'000), 1'000'000, 100'000};
  const auto why = [&] {
    const auto fits = check_fits(plan, host);
    return fits ? std::string() : fits.error().message;
  };
  host.address_space = host.data = host.file_size = mebibytes(100'000);
  BOOST_TEST(why() == "");
  host.memory_is_executable = false;
  BOOST_TEST(why().find("mount -o remount,exec /dev/shm") != std::string::npos, why());
  host.memory_is_executable = true;
  host.address_space = mebibytes(900);
  BOOST_TEST(why().find("address space: the limit is 900 MiB") != std::string::npos, why());
  BOOST_TEST(why().find("ulimit -v unlimited") != std::string::npos, why());
  host.address_space.reset();
  host.data = mebibytes(100);
  BOOST_TEST(why().find("ulimit -d unlimited") != std::string::npos, why());
  host.data.reset();
  Bytes largest;
  for (const MachinePlan& machine : plan.machines) largest = std::max(largest, machine.memory);
  host.file_size = largest;
  BOOST_TEST(why() == "");
  host.file_size = Bytes{largest.count - 1};
  BOOST_TEST(why().find("size of a file") != std::string::npos, why());
  BOOST_TEST(why().find("ulimit -f unlimited") != std::string::npos, why());
  // Machines of QEMU have their memory elsewhere.
  for (MachinePlan& machine : plan.machines) machine.backend = "qemu";
  host.memory_is_executable = false;
  BOOST_TEST(why() == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
