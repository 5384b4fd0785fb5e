#include "netsim/switch.h"
#include "netsim_test.h"

namespace rookery::netsim {
namespace {

struct Lab {
  SwitchPort& add(const VlanMembership& vlans) {
    SwitchPort& port = network.attach("p", *devices.emplace_back(std::make_unique<Recorder>()));
    network.set_vlans(port, vlans);
    return port;
  }
  const std::vector<Frame>& at(std::size_t port) const { return devices[port]->frames; }

  EventLoop loop{std::make_unique<VirtualPacer>()};
  Switch network{loop, {}};
  std::vector<std::unique_ptr<Recorder>> devices;
};

Frame tagged(std::uint16_t control, MacAddress to = MacAddress::broadcast(), MacAddress from = machine(1)) {
  return make_frame(to, from).tagged(VlanTag{control});
}

BOOST_AUTO_TEST_CASE(a_port_is_an_access_port_of_vlan_1_unless_told) {
  const VlanMembership vlans;
  BOOST_TEST(vlans.untagged() == 1);
  BOOST_TEST(vlans.contains(1));
  BOOST_TEST(!vlans.contains(2));
  BOOST_TEST(!vlans.is_tagged(1));
}

BOOST_AUTO_TEST_CASE(numbers_that_name_no_vlan_are_left_out) {
  const auto vlans = VlanMembership::trunk({0, 1, 4094, 4095, 4096, 65'535}, 4095);
  BOOST_TEST(vlans.untagged() == 0);
  BOOST_TEST(vlans.contains(1));
  BOOST_TEST(vlans.contains(4094));
  BOOST_TEST(!vlans.contains(4095));
}

BOOST_AUTO_TEST_CASE(keeps_vlans_apart) {
  Lab lab;
  SwitchPort& one = lab.add(VlanMembership::access(10));
  lab.add(VlanMembership::access(10));
  lab.add(VlanMembership::access(20));
  one.send(make_frame(MacAddress::broadcast(), machine(1)));
  BOOST_TEST(lab.at(1).size() == 1U);
  BOOST_TEST(lab.at(2).empty());
}

BOOST_AUTO_TEST_CASE(knows_an_address_per_vlan) {
  Lab lab;
  SwitchPort& ten = lab.add(VlanMembership::access(10));
  SwitchPort& twenty = lab.add(VlanMembership::access(20));
  lab.add(VlanMembership::access(20));
  ten.send(make_frame(MacAddress::broadcast(), machine(1)));
  twenty.send(make_frame(machine(1), machine(2)));  // machine 1 is not known in VLAN 20
  BOOST_TEST(lab.at(0).empty());
  BOOST_TEST(lab.at(2).size() == 1U);
}

BOOST_AUTO_TEST_CASE(tags_towards_a_trunk_and_untags_towards_a_machine) {
  Lab lab;
  SwitchPort& machine_port = lab.add(VlanMembership::access(10));
  SwitchPort& trunk = lab.add(VlanMembership::trunk({10, 20}));
  machine_port.send(make_frame(machine(2), machine(1)));
  BOOST_REQUIRE(lab.at(1).size() == 1U);
  BOOST_TEST(lab.at(1)[0].vlan_tag()->vlan() == 10);
  trunk.send(tagged(10, machine(1), machine(2)));
  BOOST_REQUIRE(lab.at(0).size() == 1U);
  BOOST_TEST(copy_of(lab.at(0)[0]) == copy_of(make_frame(machine(1), machine(2))));
}

BOOST_AUTO_TEST_CASE(keeps_the_priority_of_a_tag) {
  Lab lab;
  SwitchPort& in = lab.add(VlanMembership::trunk({10}));
  lab.add(VlanMembership::trunk({10}));
  in.send(tagged(0xe000 | 10));
  BOOST_TEST(lab.at(1).at(0).vlan_tag()->control == (0xe000 | 10));
}

BOOST_AUTO_TEST_CASE(gives_a_priority_tag_the_ports_own_vlan) {
  Lab lab;
  SwitchPort& in = lab.add(VlanMembership::access(10));
  lab.add(VlanMembership::trunk({10}));
  lab.add(VlanMembership::access(10));
  in.send(tagged(0xa000));
  BOOST_TEST(lab.at(1).at(0).vlan_tag()->control == (0xa000 | 10));
  BOOST_TEST(!lab.at(2).at(0).is_tagged());
}

BOOST_AUTO_TEST_CASE(carries_the_native_vlan_of_a_trunk_without_tags) {
  Lab lab;
  SwitchPort& in = lab.add(VlanMembership::access(1));
  SwitchPort& trunk = lab.add(VlanMembership::trunk({10}, 1));
  in.send(make_frame(MacAddress::broadcast(), machine(1)));
  BOOST_TEST(!lab.at(1).at(0).is_tagged());
  trunk.send(make_frame(machine(1), machine(2)));
  BOOST_TEST(lab.at(0).size() == 1U);
}

BOOST_AUTO_TEST_CASE(refuses_frames_of_a_vlan_that_the_port_is_not_in) {
  Lab lab;
  SwitchPort& access = lab.add(VlanMembership::access(10));
  SwitchPort& trunk = lab.add(VlanMembership::trunk({10}));
  lab.add(VlanMembership::trunk({10, 20}, 1));
  access.send(tagged(20));
  access.send(tagged(10));  // a machine has no business with tags, even of its own VLAN
  trunk.send(tagged(20));
  trunk.send(make_frame(MacAddress::broadcast(), machine(1)));  // no native VLAN here
  BOOST_TEST(lab.at(2).empty());
  BOOST_TEST(access.counters().dropped(SwitchDrop::vlan_refused) == 2U);
  BOOST_TEST(trunk.counters().dropped(SwitchDrop::vlan_refused) == 2U);
  BOOST_TEST(lab.network.table().size() == 0U);
}

BOOST_AUTO_TEST_CASE(drops_damaged_reserved_and_stacked_tags) {
  Lab lab;
  SwitchPort& in = lab.add(VlanMembership::trunk({10, 20}, 1));
  lab.add(VlanMembership::trunk({10, 20}, 1));
  in.send(make_frame(MacAddress::broadcast(), machine(1), 17, kEthertypeVlan));
  in.send(tagged(4095));
  in.send(tagged(20).tagged(VlanTag{10}));
  in.send(tagged(20).tagged(VlanTag{0}));  // would jump to VLAN 20 at the next switch
  BOOST_TEST(lab.at(1).empty());
  BOOST_TEST(in.counters().dropped(SwitchDrop::bad_tag) == 4U);
}

BOOST_AUTO_TEST_CASE(floods_each_form_once_made_to_ports_of_both_kinds) {
  Lab lab;
  SwitchPort& in = lab.add(VlanMembership::trunk({10}));
  for (int i = 0; i < 3; ++i) lab.add(VlanMembership::access(10));
  for (int i = 0; i < 3; ++i) lab.add(VlanMembership::trunk({10}));
  const Bytes before = frame_pool_state().in_use;
  in.send(tagged(10));
  for (std::size_t i = 1; i <= 3; ++i) BOOST_TEST(!lab.at(i).at(0).is_tagged());
  for (std::size_t i = 4; i <= 6; ++i) BOOST_TEST(lab.at(i).at(0).vlan_tag()->vlan() == 10);
  BOOST_TEST(frame_pool_state().in_use.count - before.count == 2 * 256U);
}

BOOST_AUTO_TEST_CASE(counts_a_frame_that_cannot_be_dressed_for_want_of_a_buffer) {
  Lab lab;
  SwitchPort& in = lab.add(VlanMembership::access(10));
  SwitchPort& trunk = lab.add(VlanMembership::trunk({10}));
  const Frame held =
      make_frame(MacAddress::broadcast(), machine(1));  // shared, so it cannot be tagged in place
  const FramePoolState state = frame_pool_state();
  set_frame_pool_limit(state.in_use);
  in.send(held);
  set_frame_pool_limit(state.limit);
  BOOST_TEST(lab.at(1).empty());
  BOOST_TEST(trunk.counters().dropped(SwitchDrop::out_no_buffer) == 1U);
}

BOOST_AUTO_TEST_CASE(forgets_addresses_when_a_port_changes_its_vlans) {
  Lab lab;
  SwitchPort& one = lab.add(VlanMembership::access(10));
  SwitchPort& two = lab.add(VlanMembership::access(10));
  one.send(make_frame(MacAddress::broadcast(), machine(1)));
  lab.network.set_vlans(one, VlanMembership::access(20));
  two.send(make_frame(machine(1), machine(2)));
  BOOST_TEST(lab.at(0).empty());
  BOOST_TEST(two.counters().dropped() == 0U);
}

}  // namespace
}  // namespace rookery::netsim
