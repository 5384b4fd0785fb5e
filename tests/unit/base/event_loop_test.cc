#include "base/loop/event_loop.h"

#include <unistd.h>

#include <boost/test/unit_test.hpp>

namespace rookery {
namespace {

using std::chrono::milliseconds;
using s = std::chrono::seconds;

struct VirtualLoop {
  EventLoop loop{std::make_unique<VirtualPacer>()};
  std::string order;
  Action note(char c) {
    return [this, c] { order += c; };
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(event_loop)

BOOST_AUTO_TEST_CASE(runs_events_by_time_and_then_in_the_order_of_scheduling) {
  VirtualLoop t;
  t.loop.after(s(2), t.note('c'));
  t.loop.after(s(1), t.note('a'));
  t.loop.after(s(1), t.note('b'));
  BOOST_TEST((t.loop.run() == EventLoop::Outcome::idle));
  BOOST_TEST(t.order == "abc");
  BOOST_TEST((t.loop.now() == Time{s(2)}));
}

BOOST_AUTO_TEST_CASE(an_hour_of_virtual_time_takes_none) {
  VirtualLoop t;
  t.loop.after(std::chrono::hours(1), t.note('x'));
  t.loop.run();
  BOOST_TEST((t.loop.now() == Time{std::chrono::hours(1)}));
}

BOOST_AUTO_TEST_CASE(a_cancelled_event_does_not_run_and_its_name_is_useless_afterwards) {
  VirtualLoop t;
  const EventId cancelled = t.loop.after(s(1), t.note('x'));
  BOOST_TEST(t.loop.cancel(cancelled));
  BOOST_TEST(!t.loop.cancel(cancelled));
  const EventId later = t.loop.after(s(1), t.note('y'));
  BOOST_TEST(!t.loop.cancel(cancelled));
  t.loop.run();
  BOOST_TEST(t.order == "y");
  BOOST_TEST(!t.loop.cancel(later));
  BOOST_TEST(!t.loop.cancel(EventId{}));
  BOOST_TEST(t.loop.events_queued() == 0u);
}

BOOST_AUTO_TEST_CASE(time_does_not_change_within_an_action_and_never_goes_back) {
  VirtualLoop t;
  Time inside{};
  t.loop.after(s(3), [&] {
    t.loop.at(Time{s(1)}, [&] { inside = t.loop.now(); });  // has passed: means now
  });
  t.loop.run();
  BOOST_TEST((inside == Time{s(3)}));
}

BOOST_AUTO_TEST_CASE(an_event_scheduled_for_now_waits_for_its_turn) {
  VirtualLoop t;
  t.loop.soon([&] {
    t.loop.soon(t.note('b'));
    t.order += 'a';
  });
  t.loop.soon(t.note('x'));
  t.loop.run();
  BOOST_TEST(t.order == "axb");
}

BOOST_AUTO_TEST_CASE(many_cancelled_and_reused_slots_stay_in_order) {
  VirtualLoop t;
  std::vector<EventId> events;
  int ran = 0;
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 100; ++i) events.push_back(t.loop.after(milliseconds(i), [&] { ++ran; }));
    for (std::size_t i = events.size() - 100; i < events.size(); i += 2) BOOST_TEST(t.loop.cancel(events[i]));
  }
  t.loop.run();
  BOOST_TEST(ran == 50 * 50);
}

BOOST_AUTO_TEST_CASE(run_until_ends_when_the_limit_has_passed) {
  VirtualLoop t;
  std::function<void()> again = [&] { t.loop.after(s(1), again); };
  again();
  BOOST_TEST(!t.loop.run_until([] { return false; }, s(10)));
  BOOST_TEST((t.loop.now() == Time{s(10)}));
  BOOST_TEST(t.loop.run_until([&] { return t.loop.now() >= Time{s(12)}; }, s(10)));
}

BOOST_AUTO_TEST_CASE(the_wall_pacer_serves_descriptors_and_stops_when_told) {
  EventLoop loop(std::make_unique<WallPacer>());
  int fds[2];
  BOOST_REQUIRE(::pipe(fds) == 0);
  const UniqueFd in(fds[0]), out(fds[1]);
  std::string got;
  Watch watch = loop.watch(in.get(), EPOLLIN, [&](std::uint32_t) {
    char c;
    BOOST_REQUIRE(::read(in.get(), &c, 1) == 1);
    got += c;
    loop.stop();
  });
  loop.soon([&] { BOOST_REQUIRE(::write(out.get(), "x", 1) == 1); });
  BOOST_TEST((loop.run() == EventLoop::Outcome::stopped));
  BOOST_TEST(got == "x");
  watch.stop();
  BOOST_TEST((loop.run() == EventLoop::Outcome::idle));
}

BOOST_AUTO_TEST_CASE(events_of_one_instant_go_by_lane_whoever_was_quicker) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  const LaneNumber first = loop.new_lane(), second = loop.new_lane();
  std::string order;
  const auto say = [&](char c) { return [&order, c] { order += c; }; };
  loop.at(Time{s(1)}, second, 1, say('d'));
  loop.at(Time{s(1)}, first, 2, say('c'));
  loop.at(Time{s(1)}, first, 1, say('b'));
  loop.at(Time{s(1)}, say('a'));
  loop.run();
  BOOST_TEST(order == "abcd");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery
