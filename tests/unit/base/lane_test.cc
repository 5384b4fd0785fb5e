// Lanes over a LockstepPacer, with "guests" that are ends of pipes.
#include "base/loop/lane.h"

#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>

namespace rookery {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Duration kLookahead = microseconds(100);

LockstepRules rules(bool side_by_side = true) {
  LockstepRules rules;
  rules.lookahead = kLookahead;
  rules.side_by_side = side_by_side;
  rules.patience = std::chrono::seconds(20);
  return rules;
}

void nobody_is_stuck(const std::vector<std::string>&) {
  BOOST_FAIL("nobody is stuck here");
}

// A guest that runs from a grant until its pipe is read, which the loop does when it polls; a device that has
// something to announce whenever `mail` came in.
class Guest final : private LaneRunner, private LaneDevice {
 public:
  Guest(EventLoop& loop, std::string name, std::string& log)
      : loop_(loop), log_(log), lane_(Lane::make(loop, std::move(name))) {
    int fds[2];
    BOOST_REQUIRE(::pipe(fds) == 0);
    in_ = UniqueFd(fds[0]);
    out_ = UniqueFd(fds[1]);
    watch_ = loop.watch(in_.get(), EPOLLIN, [this](std::uint32_t) {
      char c;
      BOOST_REQUIRE(::read(in_.get(), &c, 1) == 1);
      yields();
    });
    lane_->set_runner(this);
    lane_->attach(*this);
  }
  ~Guest() override {
    lane_->detach(*this);
    lane_->set_runner(nullptr);
  }
  Lane& lane() { return *lane_; }
  int line() const { return out_.get(); }  // who writes there has it yield
  void power_on(Time wants) {
    wants_ = wants;
    lane_->begin();
    BOOST_REQUIRE(::write(out_.get(), "x", 1) == 1);
  }
  void mail() {
    lane_->enter([this] {
      ++mail_;
      lane_->poke();
    });
  }
  std::function<void()> when_settled = [] {};
  std::vector<Time> grants;
  Duration runs{0};  // of its own time, in each grant
  Duration again{0};
  bool answers = true;  // when it is granted time

 private:
  void yields() {
    const Time end = lane_->now() + runs;
    std::optional<Time> wants = std::exchange(wants_, std::nullopt);
    if (again.count() > 0) wants = end + again;
    lane_->yielded(end, wants);
  }
  void settle() override { when_settled(); }
  bool announce() override { return std::exchange(mail_, 0) > 0; }
  void set_clock(Time) override {}
  void run(Time now) override {
    grants.push_back(now);
    log_ += lane_->name();
    if (answers) BOOST_REQUIRE(::write(out_.get(), "x", 1) == 1);
  }

  EventLoop& loop_;
  std::string& log_;
  std::unique_ptr<Lane> lane_;
  UniqueFd in_, out_;
  Watch watch_;
  std::optional<Time> wants_;
  int mail_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(lane)

BOOST_AUTO_TEST_CASE(a_guest_is_granted_time_when_it_wants_it_and_when_something_came) {
  EventLoop loop(std::make_unique<LockstepPacer>(rules(), nobody_is_stuck));
  std::string log;
  Guest guest(loop, "g", log);
  loop.soon([&] { guest.power_on(Time{milliseconds(5)}); });
  loop.at(Time{milliseconds(3)}, [&] { guest.mail(); });
  loop.run_until([] { return false; }, milliseconds(10));
  // What enters has its effect an instant later; by then the guest's wish was kept.
  BOOST_TEST((guest.grants == std::vector<Time>{Time{milliseconds(3) + Duration(1)}}));
}

BOOST_AUTO_TEST_CASE(what_a_guest_does_leaves_its_lane_after_the_lookahead) {
  EventLoop loop(std::make_unique<LockstepPacer>(rules(), nobody_is_stuck));
  std::string log;
  Guest guest(loop, "g", log);
  guest.runs = microseconds(7);
  std::vector<Time> left;
  guest.when_settled = [&] { guest.lane().leave([&] { left.push_back(loop.now()); }); };
  loop.at(Time{milliseconds(1)}, [&] { guest.power_on(Time{milliseconds(2)}); });
  loop.run_until([] { return false; }, milliseconds(10));
  BOOST_TEST((left == std::vector<Time>{Time{milliseconds(1) + microseconds(7) + kLookahead},
                                        Time{milliseconds(2) + microseconds(7) + kLookahead}}));
}

BOOST_AUTO_TEST_CASE(the_loop_goes_on_within_the_lookahead_of_one_that_runs_and_no_further) {
  EventLoop loop(std::make_unique<LockstepPacer>(rules(), nobody_is_stuck));
  std::string log;
  Guest guest(loop, "g", log);
  guest.answers = false;  // until told
  loop.at(Time{milliseconds(1)}, [&] { guest.power_on(Time{milliseconds(2)}); });
  bool before = false, after = false, rests = false;
  loop.at(Time{milliseconds(2) + kLookahead - Duration(1)}, [&] {
    before = guest.lane().running();
    // The guest yields only now; what comes later in the loop finds it at rest.
    loop.soon([&] { rests = true; });
    guest.answers = true;
  });
  loop.at(Time{milliseconds(2) + kLookahead}, [&] { after = true; });
  loop.run_until([&] { return rests; }, milliseconds(10));
  BOOST_TEST(before);
  BOOST_TEST(!after);
}

BOOST_AUTO_TEST_CASE(guests_side_by_side_and_one_after_another_do_the_same) {
  const auto run = [](bool side_by_side) {
    EventLoop loop(std::make_unique<LockstepPacer>(rules(side_by_side), nobody_is_stuck));
    std::string grants, heard;
    Guest a(loop, "a", grants), b(loop, "b", grants), c(loop, "c", grants);
    std::vector<std::pair<Guest*, Guest*>> tells{{&a, &b}, {&b, &c}, {&c, &a}};
    for (auto& [from, to] : tells) {
      from->runs = microseconds(3);
      from->again = microseconds(30);
      from->when_settled = [&loop, &heard, from = from, to = to] {
        from->lane().leave([&loop, &heard, from, to] {
          heard += from->lane().name() + std::to_string(loop.now().since_start.count()) + " ";
          to->mail();
        });
      };
      loop.soon([from = from] { from->power_on(Time{microseconds(10)}); });
    }
    loop.run_until([] { return false; }, milliseconds(2));
    BOOST_TEST(loop.drain());
    std::string times;
    for (Guest* guest : {&a, &b, &c}) {
      for (const Time at : guest->grants) times += std::to_string(at.since_start.count()) + ",";
    }
    return heard + times;
  };
  const std::string serial = run(false);
  BOOST_TEST((run(true) == serial));
  BOOST_TEST(serial.size() > 1000u);
}

BOOST_AUTO_TEST_CASE(a_frozen_guest_gets_no_time_and_a_slow_one_only_so_often) {
  EventLoop loop(std::make_unique<LockstepPacer>(rules(), nobody_is_stuck));
  std::string log;
  Guest guest(loop, "g", log);
  guest.again = milliseconds(1);
  loop.soon([&] { guest.power_on(Time{milliseconds(1)}); });
  loop.at(Time{milliseconds(2) + microseconds(1)}, [&] { guest.lane().freeze(); });
  loop.at(Time{milliseconds(5)}, [&] { guest.mail(); });
  loop.at(Time{milliseconds(7)}, [&] {
    BOOST_TEST(guest.grants.size() == 2u);
    guest.lane().thaw();
  });
  loop.at(Time{milliseconds(8) + microseconds(1)}, [&] {
    BOOST_TEST(guest.grants.size() == 4u);  // at the thaw, and a millisecond later
    guest.lane().set_gap(milliseconds(10));
  });
  loop.run_until([] { return false; }, milliseconds(50));
  BOOST_TEST(guest.grants.size() <= 9u);
  BOOST_TEST(guest.grants.size() >= 7u);
}

BOOST_AUTO_TEST_CASE(a_guest_that_never_yields_ends_the_run_and_is_named) {
  LockstepRules impatient = rules();
  impatient.patience = milliseconds(1);
  std::vector<std::string> stuck;
  EventLoop loop(std::make_unique<LockstepPacer>(impatient, [&](const auto& who) { stuck = who; }));
  std::string log;
  Guest guest(loop, "n37", log);
  guest.answers = false;
  loop.soon([&] { guest.power_on(Time{milliseconds(1)}); });
  BOOST_TEST((loop.run() == EventLoop::Outcome::idle));
  BOOST_TEST(stuck == std::vector<std::string>{"n37"});
}

// It prints, and somebody asks after the lab: neither is progress.
BOOST_AUTO_TEST_CASE(a_guest_that_spins_and_prints_is_found) {
  LockstepRules impatient = rules();
  impatient.patience = milliseconds(20);
  std::vector<std::string> stuck;
  EventLoop loop(std::make_unique<LockstepPacer>(impatient, [&](const auto& who) { stuck = who; }));
  std::string log;
  Guest guest(loop, "n37", log);
  guest.answers = false;
  const UniqueFd console(::eventfd(1, EFD_CLOEXEC));  // always something to be read
  std::uint64_t printed = 0;
  const Watch watch = loop.watch(console.get(), EPOLLIN, [&](std::uint32_t) {
    if (++printed > 100'000'000) loop.stop();  // not for ever, where it is not found
  });
  loop.soon([&] { guest.power_on(Time{milliseconds(1)}); });
  BOOST_TEST((loop.run() == EventLoop::Outcome::idle));
  BOOST_TEST(stuck == std::vector<std::string>{"n37"});
  BOOST_TEST(printed > 0u);
}

int line_of_the_guest = -1;

BOOST_AUTO_TEST_CASE(a_signal_is_not_the_end_of_patience) {
  EventLoop loop(std::make_unique<LockstepPacer>(rules(), nobody_is_stuck));
  std::string log;
  Guest guest(loop, "g", log);
  guest.answers = false;
  line_of_the_guest = guest.line();
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) { (void)!::write(line_of_the_guest, "x", 1); };
  ::sigaction(SIGALRM, &action, &before);
  loop.soon([&] { guest.power_on(Time{milliseconds(1)}); });
  loop.at(Time{milliseconds(1)}, [] {
    itimerval soon{};
    soon.it_value.tv_usec = 10'000;
    ::setitimer(ITIMER_REAL, &soon, nullptr);
  });
  BOOST_TEST((loop.run() == EventLoop::Outcome::idle));
  BOOST_TEST(!guest.lane().running());
  BOOST_TEST(guest.grants.size() == 1u);
  ::sigaction(SIGALRM, &before, nullptr);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery
