#include <fmt/format.h>

#include <algorithm>
#include <boost/test/data/test_case.hpp>
#include <boost/test/results_collector.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>

#include "base/file.h"
#include "tests/contract/backend_contract.h"

namespace rookery::contract {
namespace {

using backends::Machine;
using backends::MachineState;
using backends::PowerAction;

// Those that can be here; or, in places where each takes long, the one that is asked for.
const std::vector<std::string> kSubjects = [] {
  if (const char* one = std::getenv("ROOKERY_CONTRACT"); one != nullptr) return std::vector<std::string>{one};
  std::vector<std::string> names{"fake", "uml", "qemu", "libvirt"};
  if (host_has_kvm()) names.push_back("qemu-kvm");
  return names;
}();

// A subject in one case, and what is said of it when the case is over: lines that table.py knows.
class Tried {
 public:
  Tried(std::unique_ptr<Subject> subject, std::string name)
      : subject_(std::move(subject)), name_(std::move(name)) {}
  Tried(Tried&& other) = default;
  ~Tried() {
    using boost::unit_test::results_collector;
    namespace framework = boost::unit_test::framework;
    if (!subject_) return;
    const auto case_id = framework::current_test_case_id();
    const bool passed = std::uncaught_exceptions() == 0 && results_collector.results(case_id).passed();
    // A case over several subjects is a suite of that name.
    std::string row = framework::get<boost::unit_test::test_suite>(
                          framework::get<boost::unit_test::test_case>(case_id).p_parent_id)
                          .p_name;
    std::replace(row.begin(), row.end(), '_', ' ');
    say(row, !passed ? "failed" : lack_.empty() ? "yes" : "no", lack_);
  }
  explicit operator bool() const { return subject_ != nullptr; }
  Subject* operator->() const { return subject_.get(); }
  Subject& operator*() const { return *subject_; }

  // Whether it has that; what the case then does not show is no failure.
  bool has(std::string_view what, bool able) {
    if (!able) lack_ = subject_->backend().probe(subject_->hardware())->why_not(what);
    return able;
  }
  void say(const std::string& row, std::string_view cell, std::string_view why) const {
    fmt::print("table: {} | {} | {} | {}\n", name_, row, cell, why);
  }

 private:
  std::unique_ptr<Subject> subject_;
  std::string name_;
  std::string lack_;
};

Tried subject_named(const std::string& name) {
  auto subject = name == "fake"      ? make_fake_subject()
                 : name == "uml"     ? make_uml_subject()
                 : name == "libvirt" ? make_libvirt_subject()
                 : name == "xen-pv"  ? make_xen_subject(backends::Chipset::pv)
                 : name == "xen-pvh" ? make_xen_subject(backends::Chipset::pvh)
                 : name == "xen-hvm" ? make_xen_subject(backends::Chipset::pc)
                                     : make_qemu_subject(name == "qemu-kvm");
  if (const auto why = subject->unavailable()) {
    fmt::print("skipped: backend {}: {}\n", name, *why);
    subject = nullptr;
  }
  return {std::move(subject), name};
}

struct Record final : backends::MachineEvents {
  struct Change {
    MachineState state;
    std::string reason;
  };
  std::vector<Change> changes;
  std::string console;
  bool inside_call = false;
  std::function<void()> on_change = [] {};

  void state_changed(Machine& machine, MachineState state, const std::string& reason) override {
    BOOST_TEST(!inside_call);  // events come from the loop, never from within a call
    BOOST_TEST((machine.state() == state));
    changes.push_back({state, reason});
    on_change();
  }
  void console_output(Machine&, std::string_view bytes) override {
    BOOST_TEST(!inside_call);
    console += bytes;
  }
};

struct Bench {
  Subject& subject;
  Record record;
  std::unique_ptr<Machine> machine;
  std::filesystem::path folder;  // the machine's

  Bench(Subject& of, Guest guest, const std::string& name = "m1") : subject(of) {
    auto spec = subject.spec(name, guest);
    folder = spec.folder;
    auto made = subject.backend().create(std::move(spec), record);
    BOOST_REQUIRE(made.has_value());
    machine = std::move(*made);
    BOOST_TEST((machine->state() == MachineState::off));
    BOOST_TEST(machine->name() == name);
  }
  Status start() {
    record.inside_call = true;
    const auto started = machine->start();
    record.inside_call = false;
    return started;
  }
  Status power(PowerAction action) {
    record.inside_call = true;
    const auto done = machine->power(action);
    record.inside_call = false;
    return done;
  }
  // The cut comes when the machine is on its way back, and a turn follows in which it would have come.
  void reset_and_cut() {
    record.on_change = [this] { BOOST_TEST(power(PowerAction::cut).has_value()); };
    BOOST_REQUIRE(power(PowerAction::reset).has_value());
    wait_for_changes(1);
    bool passed = false;
    subject.loop().soon([&] { subject.loop().soon([&] { passed = true; }); });
    BOOST_TEST(subject.loop().run_until([&] { return passed; }, subject.limit()));
  }
  void wait_for_changes(std::size_t count) {
    BOOST_REQUIRE_MESSAGE(
        subject.loop().run_until([&] { return record.changes.size() >= count; }, subject.limit()),
        "its console: " << record.console);
  }
  // Of a snapshot: what it came to.
  Status finish(const std::function<Status(backends::Snapshots::Done)>& begin) {
    std::optional<Status> done;
    record.inside_call = true;
    const Status begun = begin([&](const Status& status) {
      BOOST_TEST(!record.inside_call);
      done = status;
    });
    record.inside_call = false;
    if (!begun) return begun;
    BOOST_REQUIRE(subject.loop().run_until([&] { return done.has_value(); }, subject.limit()));
    return *done;
  }
  Status take(const std::filesystem::path& file) {
    return finish([&](auto done) { return machine->snapshots()->take(file, std::move(done)); });
  }
  Status restore(const std::filesystem::path& file) {
    return finish([&](auto done) { return machine->snapshots()->restore(file, std::move(done)); });
  }
  // Until it stands still.
  void freeze() {
    bool frozen = false;
    BOOST_REQUIRE(machine->pausing()->freeze([&] { frozen = true; }).has_value());
    BOOST_REQUIRE(subject.loop().run_until([&] { return frozen; }, subject.limit()));
  }
  void wait_for_console(const std::string& text) {
    const auto said = [&] { return record.console.find(text) != std::string::npos; };
    subject.loop().run_until([&] { return said() || machine->state() == MachineState::failed; },
                             subject.limit());
    BOOST_REQUIRE_MESSAGE(said(), "waiting for '"
                                      << text << "'; its console: " << record.console << "; its end: "
                                      << (record.changes.empty() ? "" : record.changes.back().reason));
  }
};

namespace data = boost::unit_test::data;

}  // namespace

BOOST_AUTO_TEST_SUITE(contract)

BOOST_DATA_TEST_CASE(says_what_it_can_do, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  const auto capabilities = subject->backend().probe(subject->hardware());
  BOOST_REQUIRE(capabilities.has_value());
  BOOST_TEST(capabilities->nics_max >= 2u);
  BOOST_TEST(name.starts_with(subject->backend().name()));
  // Whoever misses something is told why, and what else there is.
  for (const auto& [what, able] : {std::pair("pause", capabilities->pause),
                                   {"snapshot", capabilities->snapshot},
                                   {"virtual_time", capabilities->virtual_time},
                                   {"firmware", capabilities->firmware},
                                   {"press", capabilities->press},
                                   {"disk", capabilities->disk_wire.has_value()}}) {
    BOOST_TEST((able || !capabilities->why_not(what).empty()), what);
  }
  for (const auto& [row, what, able] :
       {std::tuple("boots by firmware of its own", "firmware", capabilities->firmware),
        {"can be in virtual time", "virtual_time", capabilities->virtual_time}})
    subject.say(row, able ? "yes" : "no", able ? "" : capabilities->why_not(what));
}

BOOST_DATA_TEST_CASE(a_guest_runs_prints_and_powers_off, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench bench(*subject, Guest::prints_and_powers_off);
  BOOST_REQUIRE(bench.start().has_value());
  BOOST_TEST((bench.machine->state() == MachineState::running));
  bench.wait_for_changes(1);
  BOOST_TEST((bench.record.changes[0].state == MachineState::off));
  BOOST_TEST(bench.record.changes[0].reason == "powered off");
  BOOST_TEST(bench.record.console.find("hello from the guest") != std::string::npos);
  BOOST_TEST(bench.machine->processes().empty());
  BOOST_TEST(subject->remains() == "");
}

BOOST_DATA_TEST_CASE(a_guest_that_dies_is_reported_as_failed_with_a_reason, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench bench(*subject, Guest::crashes);
  BOOST_REQUIRE(bench.start().has_value());
  bench.wait_for_changes(1);
  BOOST_TEST((bench.record.changes[0].state == MachineState::failed));
  BOOST_TEST(!bench.record.changes[0].reason.empty());
  BOOST_TEST(bench.record.console.find("about to crash") != std::string::npos);
}

BOOST_DATA_TEST_CASE(a_power_cut_takes_effect_at_once_and_is_no_failure, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench bench(*subject, Guest::echoes);
  BOOST_REQUIRE(bench.start().has_value());
  bench.wait_for_console("listening");
  BOOST_REQUIRE(bench.power(PowerAction::cut).has_value());
  bench.wait_for_changes(1);
  BOOST_TEST((bench.record.changes[0].state == MachineState::off));
  BOOST_TEST(bench.record.changes[0].reason == "power cut");
  BOOST_TEST(subject->remains() == "");
  BOOST_TEST(bench.power(PowerAction::cut).has_value());  // a second one changes nothing
}

BOOST_DATA_TEST_CASE(a_reset_goes_off_and_comes_back, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench bench(*subject, Guest::echoes);
  BOOST_REQUIRE(bench.start().has_value());
  bench.wait_for_console("listening");
  bench.record.console.clear();
  BOOST_REQUIRE(bench.power(PowerAction::reset).has_value());
  bench.wait_for_changes(2);
  BOOST_TEST((bench.record.changes[0].state == MachineState::off));
  BOOST_TEST((bench.record.changes[1].state == MachineState::running));
  BOOST_TEST(bench.record.changes[1].reason == "reset");
  bench.wait_for_console("listening");
  bench.record.changes.clear();
  bench.reset_and_cut();
  BOOST_TEST((bench.machine->state() == MachineState::off));
  BOOST_TEST(bench.record.changes.size() == 1u);
}

BOOST_DATA_TEST_CASE(a_machine_that_is_off_can_be_started_again, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench bench(*subject, Guest::prints_and_powers_off);
  for (std::size_t round = 1; round <= 3; ++round) {
    BOOST_REQUIRE(bench.start().has_value());
    bench.wait_for_changes(round);
  }
  BOOST_TEST(subject->remains() == "");
}

BOOST_DATA_TEST_CASE(starting_a_running_machine_is_refused, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench bench(*subject, Guest::echoes);
  BOOST_REQUIRE(bench.start().has_value());
  const auto again = bench.start();
  BOOST_REQUIRE(!again.has_value());
  BOOST_TEST(again.error().message == "m1 is running already");
}

// Twice, as it was there at first: its file is only read.
BOOST_DATA_TEST_CASE(a_guest_reads_its_disk_and_what_it_writes_there_stays_out_of_the_file,
                     data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  const bool has_disks = subject->backend().probe(subject->hardware())->disk_wire.has_value();
  if (!subject.has("disk", has_disks)) return;
  Bench bench(*subject, Guest::reads_its_disk);
  const std::string before = read_file(bench.folder / kDisk).value();
  for (std::size_t round = 1; round <= 2; ++round) {
    bench.record.console.clear();
    BOOST_REQUIRE(bench.start().has_value());
    bench.wait_for_changes(round);
    BOOST_TEST(bench.record.changes.back().reason == "powered off");
    BOOST_TEST(bench.record.console.find(kOnDisk) != std::string::npos, bench.record.console);
  }
  BOOST_TEST(read_file(bench.folder / kDisk).value() == before);
}

BOOST_DATA_TEST_CASE(what_is_typed_reaches_the_guest, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench bench(*subject, Guest::echoes);
  BOOST_REQUIRE(bench.start().has_value());
  bench.wait_for_console("listening");
  bench.machine->console_input("spoken\n");
  bench.wait_for_console("spoken");
}

BOOST_DATA_TEST_CASE(destroying_a_running_machine_leaves_nothing, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  {
    Bench bench(*subject, Guest::echoes);
    BOOST_REQUIRE(bench.start().has_value());
    bench.wait_for_console("listening");
  }
  BOOST_TEST(subject->remains() == "");
}

BOOST_DATA_TEST_CASE(several_machines_do_not_disturb_one_another, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench first(*subject, Guest::echoes, "m1");
  Bench second(*subject, Guest::crashes, "m2");
  Bench third(*subject, Guest::prints_and_powers_off, "m3");
  for (Bench* bench : {&first, &second, &third}) BOOST_REQUIRE(bench->start().has_value());
  second.wait_for_changes(1);
  third.wait_for_changes(1);
  first.wait_for_console("listening");
  BOOST_TEST((first.machine->state() == MachineState::running));
  BOOST_TEST(first.record.changes.empty());
}

BOOST_DATA_TEST_CASE(the_power_button_works_where_the_backend_says_so, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  const bool has_button = subject->backend().probe(subject->hardware())->press;
  Bench bench(*subject, Guest::echoes);
  BOOST_REQUIRE(bench.start().has_value());
  bench.wait_for_console("listening");
  const auto pressed = bench.power(PowerAction::press);
  BOOST_TEST(pressed.has_value() == has_button);
  if (subject.has("press", has_button)) return bench.wait_for_changes(1);
  BOOST_TEST(!pressed.error().message.empty());
}

BOOST_DATA_TEST_CASE(a_frozen_machine_is_silent_until_it_is_thawed_and_a_slow_one_gets_there,
                     data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench bench(*subject, Guest::echoes);
  backends::Pausing* pausing = bench.machine->pausing();
  BOOST_TEST(subject->backend().probe(subject->hardware())->pause == (pausing != nullptr));
  if (!subject.has("pause", pausing != nullptr)) return;
  BOOST_REQUIRE(bench.start().has_value());
  bench.wait_for_console("listening");
  const std::string& console = bench.record.console;
  const std::function<bool()> said = [&console] { return console.find("spoken") != std::string::npos; };
  bench.freeze();
  bench.machine->console_input("spoken\n");
  BOOST_TEST(!subject->loop().run_until(said, std::chrono::milliseconds(200)));
  BOOST_TEST((bench.machine->state() == MachineState::running));
  BOOST_REQUIRE(pausing->slow(std::chrono::milliseconds(5)).has_value());
  BOOST_REQUIRE(pausing->thaw().has_value());
  bench.wait_for_console("spoken");
  BOOST_TEST(!pausing->slow(Duration(-1)).has_value());
  // A frozen one can still be cut, and who waited for it to stand still has waited long enough.
  int told = 0;
  BOOST_REQUIRE(pausing->freeze([&] { ++told; }).has_value());
  BOOST_REQUIRE(bench.power(PowerAction::cut).has_value());
  bench.wait_for_changes(1);
  BOOST_TEST(told == 1);
  BOOST_TEST(subject->remains() == "");
}

BOOST_DATA_TEST_CASE(a_snapshot_brings_back_the_guest_as_it_was, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench bench(*subject, Guest::echoes);
  BOOST_TEST(subject->backend().probe(subject->hardware())->snapshot ==
             (bench.machine->snapshots() != nullptr));
  if (!subject.has("snapshot", bench.machine->snapshots() != nullptr)) return;
  const auto folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-contract-").value();
  const auto file = folder.path() / "snapshot";
  BOOST_TEST(!bench.take(file).has_value());  // it is off
  BOOST_TEST(!std::filesystem::exists(file));
  BOOST_REQUIRE(bench.start().has_value());
  bench.wait_for_console("listening");
  const Status taken = bench.take(file);
  BOOST_REQUIRE_MESSAGE(taken.has_value(), taken.error().message);
  BOOST_TEST(!bench.take(file).has_value());  // the file is there
  bench.machine->console_input("goes on\n");
  bench.wait_for_console("goes on");
  for (const bool was_off : {false, true}) {
    if (was_off) {
      BOOST_REQUIRE(bench.power(PowerAction::cut).has_value());
      bench.wait_for_changes(3);
    }
    bench.record.changes.clear();
    bench.record.console.clear();
    const Status restored = bench.restore(file);
    BOOST_REQUIRE_MESSAGE(restored.has_value(), restored.error().message);
    BOOST_REQUIRE(bench.record.changes.size() == (was_off ? 1u : 2u));
    for (const auto& change : bench.record.changes) BOOST_TEST(change.reason == backends::kRestored);
    BOOST_TEST((bench.machine->state() == MachineState::running));
    bench.machine->console_input("spoken\n");
    bench.wait_for_console("spoken");
    BOOST_TEST(bench.record.console.find("listening") == std::string::npos);  // it did not start anew
  }
}

BOOST_DATA_TEST_CASE(a_frozen_machine_stays_frozen_over_a_snapshot_and_back_to_it, data::make(kSubjects),
                     name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench bench(*subject, Guest::echoes);
  if (!subject.has("snapshot", bench.machine->snapshots() != nullptr) ||
      !subject.has("pause", bench.machine->pausing() != nullptr))
    return;
  const auto folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-contract-").value();
  const auto file = folder.path() / "snapshot";
  const std::string& console = bench.record.console;
  const std::function<bool()> said = [&console] { return console.find("spoken") != std::string::npos; };
  BOOST_REQUIRE(bench.start().has_value());
  bench.wait_for_console("listening");
  bench.freeze();
  BOOST_TEST(bench.take(file).has_value());
  BOOST_TEST(bench.restore(file).has_value());
  bench.machine->console_input("spoken\n");
  BOOST_TEST(!subject->loop().run_until(said, std::chrono::milliseconds(200)));
  BOOST_REQUIRE(bench.machine->pausing()->thaw().has_value());
  bench.wait_for_console("spoken");
}

BOOST_DATA_TEST_CASE(a_snapshot_that_is_none_ends_the_machine_with_a_reason, data::make(kSubjects), name) {
  auto subject = subject_named(name);
  if (!subject) return;
  Bench bench(*subject, Guest::echoes);
  if (!subject.has("snapshot", bench.machine->snapshots() != nullptr)) return;
  const auto folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-contract-").value();
  BOOST_TEST(!bench.restore(folder.path() / "missing").has_value());
  BOOST_TEST((bench.machine->state() == MachineState::off));
  BOOST_REQUIRE(write_file(folder.path() / "none", "any text that is no snapshot").has_value());
  BOOST_TEST(!bench.restore(folder.path() / "none").has_value());
  BOOST_REQUIRE(!bench.record.changes.empty());
  const std::string& reason = bench.record.changes.back().reason;
  BOOST_TEST((bench.machine->state() == MachineState::failed), reason);
  BOOST_TEST(!reason.empty());
  BOOST_TEST(subject->remains() == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::contract
