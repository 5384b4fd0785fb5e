#include "netsim/address_table.h"

#include "netsim_test.h"

namespace rookery::netsim {
namespace {

using std::chrono::seconds;

Time at(int second) {
  return Time{seconds(second)};
}
IpAddress host(std::uint32_t n) {
  return IpAddress::v4(0x0a000000 + n);
}

BOOST_AUTO_TEST_CASE(knows_whom_it_heard_in_their_vlan_until_they_age) {
  AddressTable table({});
  table.hear(1, host(7), machine(7), at(0));
  BOOST_TEST((table.ask(1, host(7), at(1)) == machine(7)));
  BOOST_TEST(!table.ask(2, host(7), at(1)));
  BOOST_TEST(!table.ask(1, host(8), at(1)));
  table.hear(1, host(7), machine(7), at(200));
  BOOST_TEST(table.find(1, host(7), at(499)).has_value());
  BOOST_TEST(!table.find(1, host(7), at(500)).has_value());
}

BOOST_AUTO_TEST_CASE(a_binding_lives_as_long_as_its_lease) {
  AddressTable table({});
  table.bind(1, host(7), machine(7), seconds(1000), at(0));
  BOOST_TEST(table.find(1, host(7), at(999)).has_value());
  BOOST_TEST(!table.find(1, host(7), at(1000)).has_value());
}

BOOST_AUTO_TEST_CASE(believes_no_hearsay_against_a_binding) {
  AddressTable table({});
  table.bind(1, host(7), machine(7), seconds(1000), at(0));
  table.hear(1, host(7), machine(66), at(1));
  BOOST_TEST((table.ask(1, host(7), at(1)) == machine(7)));
  BOOST_TEST(table.counters().contested == 1U);
  table.bind(1, host(7), machine(8), seconds(1000), at(2));  // the server has given it to another one
  BOOST_TEST((table.ask(1, host(7), at(2)) == machine(8)));
}

BOOST_AUTO_TEST_CASE(newer_hearsay_replaces_older) {
  AddressTable table({});
  table.hear(1, host(7), machine(7), at(0));
  table.hear(1, host(7), machine(8), at(1));
  BOOST_TEST((table.ask(1, host(7), at(1)) == machine(8)));
}

BOOST_AUTO_TEST_CASE(gives_up_an_owner_that_does_not_answer_until_it_is_heard) {
  AddressTable table({});
  table.hear(1, host(7), machine(7), at(0));
  BOOST_TEST(table.ask(1, host(7), at(1)).has_value());
  BOOST_TEST(!table.ask(1, host(7), at(2)).has_value());
  table.hear(1, host(7), machine(7), at(3));
  BOOST_TEST(table.ask(1, host(7), at(4)).has_value());
}

BOOST_AUTO_TEST_CASE(a_full_set_refuses_hearsay_but_a_binding_pushes_it_out) {
  AddressTable table({.entries = AddressTable::kWays});  // one set
  for (std::uint32_t n = 1; n <= 8; ++n) table.hear(1, host(n), machine(n), at(0));
  table.hear(1, host(9), machine(9), at(0));
  BOOST_TEST(table.counters().refused == 1U);
  BOOST_TEST(!table.find(1, host(9), at(0)).has_value());
  for (std::uint32_t n = 11; n <= 18; ++n) table.bind(1, host(n), machine(n), seconds(100), at(1));
  BOOST_TEST(table.counters().refused == 1U);
  table.bind(1, host(19), machine(19), seconds(100), at(1));
  BOOST_TEST(table.counters().refused == 2U);
  for (std::uint32_t n = 11; n <= 18; ++n) BOOST_TEST(table.find(1, host(n), at(1)).has_value());
  table.hear(1, host(9), machine(9), at(101));  // the leases have ended
  BOOST_TEST(table.find(1, host(9), at(101)).has_value());
}

}  // namespace
}  // namespace rookery::netsim
