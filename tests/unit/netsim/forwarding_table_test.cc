#include "netsim/forwarding_table.h"

#include <map>

#include "base/random.h"
#include "netsim_test.h"

namespace rookery::netsim {
namespace {

constexpr Time kStart{};
constexpr Time seconds_in(int n) {
  return Time{std::chrono::seconds(n)};
}

BOOST_AUTO_TEST_CASE(finds_what_it_learnt) {
  ForwardingTable table({});
  table.learn(1, machine(1), 7, kStart);
  BOOST_TEST(table.lookup(1, machine(1), kStart).value() == 7U);
  BOOST_TEST(!table.lookup(1, machine(2), kStart).has_value());
}

BOOST_AUTO_TEST_CASE(keeps_vlans_apart) {
  ForwardingTable table({});
  table.learn(1, machine(1), 7, kStart);
  table.learn(2, machine(1), 8, kStart);
  BOOST_TEST(table.lookup(1, machine(1), kStart).value() == 7U);
  BOOST_TEST(table.lookup(2, machine(1), kStart).value() == 8U);
  BOOST_TEST(!table.lookup(3, machine(1), kStart).has_value());
  BOOST_TEST(table.counters().moved == 0U);
}

BOOST_AUTO_TEST_CASE(never_learns_a_group_or_zero) {
  ForwardingTable table({});
  table.learn(1, MacAddress::broadcast(), 7, kStart);
  table.learn(1, *MacAddress::parse("01:00:5e:00:00:01"), 7, kStart);
  table.learn(1, MacAddress(), 7, kStart);
  BOOST_TEST(table.size() == 0U);
}

BOOST_AUTO_TEST_CASE(forgets_after_300_seconds_of_silence_and_not_before) {
  ForwardingTable table({});
  table.learn(1, machine(1), 7, kStart);
  BOOST_TEST(table.lookup(1, machine(1), seconds_in(300)).has_value());
  BOOST_TEST(!table.lookup(1, machine(1), seconds_in(301)).has_value());
}

BOOST_AUTO_TEST_CASE(does_not_forget_who_keeps_talking) {
  ForwardingTable table({});
  for (int t = 0; t < 1000; t += 200) table.learn(1, machine(1), 7, seconds_in(t));
  BOOST_TEST(table.lookup(1, machine(1), seconds_in(1000)).has_value());
  BOOST_TEST(table.counters().learnt == 1U);
}

BOOST_AUTO_TEST_CASE(follows_and_counts_a_move) {
  ForwardingTable table({});
  table.learn(1, machine(1), 7, kStart);
  table.learn(1, machine(1), 8, kStart);
  BOOST_TEST(table.lookup(1, machine(1), kStart).value() == 8U);
  BOOST_TEST(table.counters().moved == 1U);
}

BOOST_AUTO_TEST_CASE(holds_as_many_as_it_should_then_refuses_and_keeps_what_it_knows) {
  ForwardingTable table({});
  for (unsigned n = 1; n <= 16'384; ++n) table.learn(1, machine(n), n, kStart);
  BOOST_TEST(table.size() == 16'384U);
  BOOST_TEST(table.counters().refused == 0U);
  table.learn(1, machine(20'000), 1, kStart);
  BOOST_TEST(table.counters().refused == 1U);
  BOOST_TEST(!table.lookup(1, machine(20'000), kStart).has_value());
  for (unsigned n = 1; n <= 16'384; ++n) BOOST_REQUIRE(table.lookup(1, machine(n), kStart).value() == n);
}

BOOST_AUTO_TEST_CASE(makes_room_by_sweeping_out_the_old) {
  ForwardingTable table({.entries = 100});
  for (unsigned n = 1; n <= 100; ++n) table.learn(1, machine(n), n, kStart);
  table.learn(1, machine(50), 50, seconds_in(200));
  unsigned tries = 0;
  while (!table.lookup(1, machine(1000), seconds_in(400)) && ++tries < 10) {
    table.learn(1, machine(1000), 1, seconds_in(400));
  }
  BOOST_TEST(table.lookup(1, machine(1000), seconds_in(400)).has_value());
  BOOST_TEST(table.lookup(1, machine(50), seconds_in(400)).value() == 50U);
  BOOST_TEST(table.counters().aged > 0U);
}

BOOST_AUTO_TEST_CASE(forgets_a_port_and_nothing_else) {
  ForwardingTable table({.entries = 1000});
  for (unsigned n = 1; n <= 1000; ++n) table.learn(1, machine(n), n % 3, kStart);
  table.forget(1);
  for (unsigned n = 1; n <= 1000; ++n) {
    BOOST_REQUIRE(table.lookup(1, machine(n), kStart).has_value() == (n % 3 != 1));
  }
  BOOST_TEST(table.size() == 666U);
  table.clear();
  BOOST_TEST(table.size() == 0U);
  BOOST_TEST(!table.lookup(1, machine(2), kStart).has_value());
}

BOOST_AUTO_TEST_CASE(works_with_room_for_one) {
  ForwardingTable table({.entries = 0});  // read as 1
  table.learn(1, machine(1), 1, kStart);
  table.learn(1, machine(2), 2, kStart);
  BOOST_TEST(table.lookup(1, machine(1), kStart).has_value());
  BOOST_TEST(table.counters().refused == 1U);
}

BOOST_AUTO_TEST_CASE(agrees_with_a_plain_map_over_random_work) {
  constexpr std::uint64_t kSeed = 20260;
  BOOST_TEST_CONTEXT("seed " << kSeed) {
    Random random(kSeed, "forwarding_table_test");
    // Never full, so that the table may refuse nothing; tight, so that entries collide and move.
    ForwardingTable table({.entries = 300, .age = std::chrono::seconds(50), .hash_seed = random.next()});
    std::map<std::pair<unsigned, unsigned>, std::pair<unsigned, int>> model;
    for (int step = 0; step < 20'000; ++step) {
      const auto vlan = static_cast<std::uint16_t>(1 + random.below(2));
      const auto n = static_cast<unsigned>(1 + random.below(150));
      const int now = step / 20;
      if (random.below(200) == 0) {
        const auto port = static_cast<PortNumber>(random.below(5));
        table.forget(port);
        std::erase_if(model, [&](const auto& entry) { return entry.second.first == port; });
      } else if (random.below(2) == 0) {
        const auto port = static_cast<PortNumber>(random.below(5));
        table.learn(vlan, machine(n), port, seconds_in(now));
        model[{vlan, n}] = {port, now};
      }
      const auto known = model.find({vlan, n});
      const bool expected = known != model.end() && now - known->second.second <= 50;
      const auto found = table.lookup(vlan, machine(n), seconds_in(now));
      BOOST_REQUIRE(found.has_value() == expected);
      if (expected) BOOST_REQUIRE(*found == known->second.first);
    }
    BOOST_TEST(table.counters().refused == 0U);
  }
}

}  // namespace
}  // namespace rookery::netsim
