#include "vboot/run/machine/power_state.h"

#include <boost/test/unit_test.hpp>
#include <deque>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"

namespace rookery::vboot {
namespace {

using backends::MachineState;
using Boot = PowerState::Boot;
using Deed = PowerState::Deed;
using End = PowerState::End;
using Wish = PowerState::Wish;

const std::string kResetByGuest(backends::kResetByGuest), kRestored(backends::kRestored);
constexpr Boot kFirmware{.is_firmware = true};
constexpr Boot kBooting{};
constexpr Boot kReady{.settled = true, .arrived = true};
constexpr Boot kFailed{.settled = true};
constexpr Boot kOff = kFailed;

// A machine as backends promise it (backends/backend.h), whoever acts on it as Node does, and a boot that
// goes on or not: what a history of wishes and ends leads to. `wanted` is what the last of them asked for.
class History {
 public:
  explicit History(std::uint64_t seed) : seed_(seed), random_(seed, "power") {}

  void run(unsigned steps) {
    for (unsigned i = 0; i < steps && holds_; ++i) step();
    while (holds_ && (!coming_.empty() || again_)) coming_.empty() ? start_again() : deliver();
    expect((state_ == MachineState::running) == wanted_on_, "it is what the last wish wants");
    expect(power_.is_on(state_) == wanted_on_, "and everybody sees that");
  }
  bool holds() const { return holds_; }
  unsigned starts() const { return starts_; }

 private:
  struct Change {
    MachineState state;
    std::string reason;
  };

  void expect(bool is_so, const char* what) {
    if (is_so || !holds_) return;
    holds_ = false;
    std::string text;
    for (const std::string& word : words_) text += " " + word;
    BOOST_ERROR("seed " << seed_ << ": not so: " << what << ", after" << text);
  }

  void step() {
    switch (random_.below(10)) {
      case 0:
        wish(Wish::on);
        break;
      case 1:
        wish(Wish::cut);
        break;
      case 2:
        wish(Wish::reset);
        break;
      case 3:
        go_back();
        break;
      case 4:
        boot_goes_on();
        break;
      case 5:
        guest_ends();
        break;
      case 6:
        if (again_) start_again();
        break;
      default:
        if (!coming_.empty()) deliver();
    }
    const bool ends = !coming_.empty() && coming_.front().state != MachineState::running;
    expect(!power_.is_leaving() || (state_ == MachineState::running && ends), "it leaves until its end");
    expect(power_.is_on(state_) == (state_ == MachineState::running && !power_.is_leaving()),
           "it is on while it runs and does not leave");
  }

  void forget_what_comes() {  // a machine does the last that it is told
    coming_.clear();
    ends_itself_ = false;
  }

  void wish(Wish wish) {
    words_.emplace_back(wish == Wish::on ? "on" : wish == Wish::cut ? "cut" : "reset");
    const MachineState before = state_;
    switch (power_.wished(wish, before)) {
      case Deed::wait:
        expect(power_.is_leaving(), "who waits, waits for an end");
        wanted_on_ = true;
        return;
      case Deed::start:
        wanted_on_ = start() || wanted_on_;  // it may be on already
        return;
      case Deed::pass_on:
        break;
    }
    expect(wish == Wish::cut || before == MachineState::running, "only what runs is reset by the machine");
    forget_what_comes();
    if (before == MachineState::running) {
      coming_.push_back({MachineState::off, wish == Wish::cut ? "power cut" : "reset"});
      if (wish == Wish::reset) coming_.push_back({MachineState::running, "reset"});
      boot_ = kOff;
    }
    expect(power_.taken(wish, before) == (before == MachineState::running), "what runs ends for the wish");
    wanted_on_ = wish == Wish::reset;
  }

  bool start() {
    if (state_ == MachineState::running) return false;
    forget_what_comes();
    state_ = MachineState::running;
    boot_ = kFirmware;
    ++starts_;
    return true;
  }

  void go_back() {
    words_.emplace_back("restore");
    forget_what_comes();
    if (state_ == MachineState::running) coming_.push_back({MachineState::off, kRestored});
    coming_.push_back({MachineState::running, kRestored});
    power_.goes_back(state_);
    wanted_on_ = true;
  }

  void boot_goes_on() {
    if (!power_.is_on(state_) || boot_.settled) return;
    constexpr Boot kLater[] = {
        kBooting, kReady, kFailed, {.restart_said = true}, {.is_firmware = true, .has_panicked = true}};
    boot_ = kLater[random_.below(std::size(kLater))];
    words_.emplace_back(boot_.arrived ? "ready" : boot_.settled ? "fails" : "boots");
  }

  // By itself; perhaps while its end by a wish is still to come.
  void guest_ends() {
    if (state_ != MachineState::running) return;
    const bool comes_back = coming_.size() > 1;
    coming_.clear();
    const Change ends[] = {{MachineState::off, kResetByGuest},
                           {MachineState::off, "powered off"},
                           {MachineState::failed, "killed"}};
    coming_.push_back(ends[random_.below(std::size(ends))]);
    if (comes_back) coming_.push_back({MachineState::running, "reset"});
    ends_itself_ = true;
  }

  void deliver() {
    const Change change = coming_.front();
    coming_.pop_front();
    words_.push_back("(" + change.reason + ")");
    state_ = change.state;
    power_.changed();
    if (state_ == MachineState::running) {
      boot_ = kFirmware;
      return;
    }
    const End end = power_.ended(state_, change.reason, boot_);
    again_ = power_.comes_on_again();
    check(end, change);
    if (std::exchange(ends_itself_, false) && coming_.empty()) wanted_on_ = again_;
    boot_ = kOff;
  }

  void check(End end, const Change& change) {
    const bool resets_itself = change.reason == kResetByGuest;
    const bool is_wished =
        change.reason == "power cut" || change.reason == "reset" || change.reason == kRestored;
    expect((end == End::died) == (change.state == MachineState::failed), "only a fault kills");
    if (boot_.settled || is_wished)
      expect(end == End::off || end == End::died, "what was settled or wished fails nobody's boot");
    if (end == End::restarts) {
      expect(resets_itself && !boot_.settled, "a restart is of a boot on its way");
      expect(boot_.restart_said || (boot_.is_firmware && !boot_.has_panicked), "a restart is no panic");
    }
    if (end == End::restarts || (resets_itself && boot_.arrived)) expect(again_, "it comes back");
  }

  // In a turn of its own, as Node does.
  void start_again() {
    words_.emplace_back("(again)");
    again_ = false;
    if (!power_.starts_again(state_)) return;
    if (power_.wished(Wish::on, state_) == Deed::start) expect(start(), "nothing is started twice");
  }

  std::uint64_t seed_;
  Random random_;
  PowerState power_;
  MachineState state_ = MachineState::off;
  std::deque<Change> coming_;  // what the backend will tell
  Boot boot_ = kOff;
  bool again_ = false;        // it is to be started again
  bool ends_itself_ = false;  // the end that comes is the guest's own
  bool wanted_on_ = false;
  bool holds_ = true;
  unsigned starts_ = 0;
  std::vector<std::string> words_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(power_state)

BOOST_AUTO_TEST_CASE(a_machine_is_off_from_the_wish_on_and_its_end_only_confirms_it) {
  PowerState power;
  BOOST_TEST((power.wished(Wish::on, MachineState::off) == Deed::start));
  BOOST_TEST(power.is_on(MachineState::running));
  BOOST_TEST((power.wished(Wish::cut, MachineState::running) == Deed::pass_on));
  BOOST_TEST(power.taken(Wish::cut, MachineState::running));
  BOOST_TEST(power.is_leaving());
  BOOST_TEST(!power.is_on(MachineState::running));
  power.changed();
  BOOST_TEST((power.ended(MachineState::off, "power cut", kBooting) == End::off));
  BOOST_TEST(!power.comes_on_again());
}

BOOST_AUTO_TEST_CASE(who_wants_a_machine_on_that_was_just_cut_has_it_on_after_its_end) {
  PowerState power;
  power.taken(Wish::cut, MachineState::running);
  BOOST_TEST((power.wished(Wish::on, MachineState::running) == Deed::wait));
  power.changed();
  BOOST_TEST((power.ended(MachineState::off, "power cut", kBooting) == End::off));
  BOOST_TEST(power.comes_on_again());
  BOOST_TEST(power.starts_again(MachineState::off));
  BOOST_TEST(!power.starts_again(MachineState::off));  // once
  // A second cut takes that back.
  power.taken(Wish::cut, MachineState::running);
  power.wished(Wish::on, MachineState::running);
  power.taken(Wish::cut, MachineState::running);
  power.changed();
  power.ended(MachineState::off, "power cut", kBooting);
  BOOST_TEST(!power.comes_on_again());
}

BOOST_AUTO_TEST_CASE(who_is_to_come_on_again_does_not_if_somebody_is_quicker_or_cuts_its_power) {
  const auto reset_itself = [] {
    PowerState power;
    power.ended(MachineState::off, kResetByGuest, kReady);
    BOOST_TEST(power.comes_on_again());
    return power;
  };
  PowerState cut = reset_itself();
  BOOST_TEST(!cut.taken(Wish::cut, MachineState::off));
  BOOST_TEST(!cut.starts_again(MachineState::off));
  PowerState started = reset_itself();
  BOOST_TEST((started.wished(Wish::on, MachineState::off) == Deed::start));
  BOOST_TEST(started.taken(Wish::reset, MachineState::running));
  BOOST_TEST(!started.starts_again(MachineState::running));
  PowerState died = reset_itself();
  died.wished(Wish::on, MachineState::off);
  BOOST_TEST((died.ended(MachineState::failed, "killed", kBooting) == End::died));
  BOOST_TEST(!died.starts_again(MachineState::failed));
}

BOOST_AUTO_TEST_CASE(a_reset_of_a_machine_that_is_off_switches_it_on) {
  PowerState power;
  BOOST_TEST((power.wished(Wish::reset, MachineState::off) == Deed::start));
  BOOST_TEST((power.wished(Wish::reset, MachineState::failed) == Deed::start));
  BOOST_TEST((power.wished(Wish::reset, MachineState::running) == Deed::pass_on));
  BOOST_TEST((power.wished(Wish::cut, MachineState::off) == Deed::pass_on));
  BOOST_TEST(!power.taken(Wish::cut, MachineState::off));
  BOOST_TEST(!power.is_leaving());
}

BOOST_AUTO_TEST_CASE(a_guest_that_resets_itself_comes_back_unless_it_panicked_on_its_way) {
  const auto comes_back = [](const Boot& boot, End end) {
    PowerState power;
    BOOST_TEST((power.ended(MachineState::off, kResetByGuest, boot) == end));
    return power.comes_on_again();
  };
  BOOST_TEST(comes_back(kFirmware, End::restarts));
  BOOST_TEST(comes_back({.restart_said = true}, End::restarts));
  BOOST_TEST(comes_back({.restart_said = true, .is_firmware = true, .has_panicked = true}, End::restarts));
  BOOST_TEST(comes_back(kReady, End::off));
  BOOST_TEST(!comes_back(kFailed, End::off));
  BOOST_TEST(!comes_back(kBooting, End::too_soon));
  BOOST_TEST(!comes_back({.is_firmware = true, .has_panicked = true}, End::too_soon));
}

BOOST_AUTO_TEST_CASE(an_end_that_nobody_wished_fails_a_boot_that_was_not_ready) {
  PowerState power;
  BOOST_TEST((power.ended(MachineState::off, "powered off", kBooting) == End::too_soon));
  BOOST_TEST((power.ended(MachineState::off, "powered off", kReady) == End::off));
  BOOST_TEST((power.ended(MachineState::off, "reset", kBooting) == End::off));
  BOOST_TEST((power.ended(MachineState::off, kRestored, kBooting) == End::off));
  BOOST_TEST((power.ended(MachineState::failed, "killed", kReady) == End::died));
  BOOST_TEST(!power.comes_on_again());
}

BOOST_AUTO_TEST_CASE(in_any_history_the_last_wish_is_what_becomes_of_it) {
  unsigned starts = 0, bad = 0;
  for (std::uint64_t seed = 1; seed <= 10'000 && bad < 5; ++seed) {
    History history(seed);
    history.run(30);
    starts += history.starts();
    if (!history.holds()) ++bad;
  }
  BOOST_TEST(starts > 10'000u);  // the histories are worth something
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
