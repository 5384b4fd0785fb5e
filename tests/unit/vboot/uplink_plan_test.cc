#include <boost/test/unit_test.hpp>

#include "vboot/lab/uplink.h"

namespace rookery::vboot {
namespace {

constexpr MacBytes kNic{0x00, 0x1b, 0x21, 0x01, 0x02, 0x03};

LabPlan plan_of(const std::string& more) {
  const std::string text = "lab: test\n" + more;
  return plan_lab(parse_lab(text, "test.yaml").value(), {}).value();
}
const std::string kServer = "machines:\n  server: {role: boot-server}\n";
const std::string kVlans =
    "vlans:\n  a: {id: 10, subnet: 10.78.0.0/16}\n  b: {id: 4094, subnet: 10.79.0.0/16}\n" + kServer;

std::string refusal(const LabPlan& plan, const UplinkRequest& request) {
  const auto uplink = plan_uplink(plan, request, kNic);
  BOOST_REQUIRE(!uplink.has_value());
  BOOST_TEST((uplink.error().kind == ErrorKind::usage));
  return uplink.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(uplink_plan)

BOOST_AUTO_TEST_CASE(joins_the_wire_to_the_labs_own_network) {
  const auto uplink = plan_uplink(plan_of(kServer), {.interface = "eth1"}, kNic).value();
  BOOST_TEST(uplink.interface == "eth1");
  BOOST_TEST(uplink.vlan.value() == 1u);
  BOOST_TEST(!uplink.proxy.has_value());
}

BOOST_AUTO_TEST_CASE(a_labs_vlans_go_out_with_their_tags_unless_one_is_named) {
  BOOST_TEST(!plan_uplink(plan_of(kVlans), {.interface = "eth1"}, kNic)->vlan.has_value());
  BOOST_TEST(plan_uplink(plan_of(kVlans), {.interface = "eth1", .vlan = "a"}, kNic)->vlan.value() == 10u);
  BOOST_TEST(refusal(plan_of(kVlans), {.interface = "eth1", .vlan = "c"}) ==
             "--uplink-vlan: the lab has no VLAN 'c'; it has: a, b");
  BOOST_TEST(refusal(plan_of(kServer), {.interface = "eth1", .vlan = "a"}) ==
             "--uplink-vlan: this lab has no VLANs");
}

BOOST_AUTO_TEST_CASE(beside_another_dhcp_server_the_wire_is_alone_with_the_boot_server) {
  const auto uplink = plan_uplink(plan_of(kServer), {.interface = "eth1", .mode = "proxy"}, kNic).value();
  BOOST_TEST(uplink.vlan.value() == 4094u);
  BOOST_TEST(to_text(uplink.proxy->mac) == "12:1b:21:01:02:03");
  BOOST_TEST(uplink.proxy->address == "");
  BOOST_TEST(plan_uplink(plan_of(kVlans), {.interface = "eth1", .mode = "proxy"}, kNic)->vlan.value() ==
             4093u);
  const auto stated = plan_uplink(plan_of(kServer),
                                  {.interface = "eth1", .mode = "proxy", .address = "192.168.7.2/24"}, kNic);
  BOOST_TEST(stated->proxy->address == "192.168.7.2/24");
}

BOOST_AUTO_TEST_CASE(an_address_of_its_own_never_is_the_nics) {
  for (const std::uint8_t first : {0x00, 0x02, 0x10, 0x12, 0xfe}) {
    const MacBytes nic{first, 1, 2, 3, 4, 5};
    const MacBytes made = plan_uplink(plan_of(kServer), {.interface = "e", .mode = "proxy"}, nic)->proxy->mac;
    BOOST_TEST((made != nic));
    BOOST_TEST((made[0] & 3) == 2);  // locally administered, and no group
  }
}

BOOST_AUTO_TEST_CASE(refuses_what_does_not_go_together) {
  const LabPlan plan = plan_of(kServer);
  BOOST_TEST(refusal(plan, {.interface = "e", .mode = "nat"}) ==
             "--uplink-mode knows dhcp and proxy, not 'nat'");
  for (const char* bad : {"192.168.7.2", "192.168.7.2/33", "192.168.7/24", "192.168.7.2/24x", "/24"}) {
    const UplinkRequest request{.interface = "e", .mode = "proxy", .address = bad};
    BOOST_TEST(refusal(plan, request).starts_with("--uplink-address: expected an address"));
  }
  BOOST_TEST(refusal(plan, {.interface = "e", .address = "192.168.7.2/24"})
                 .starts_with("--uplink-address goes with --uplink-mode proxy"));
  BOOST_TEST(refusal(plan, {.interface = "e", .mode = "proxy", .vlan = "a"})
                 .starts_with("--uplink-vlan goes with --uplink-mode dhcp"));
  BOOST_TEST(refusal(plan_of("network: {dhcp_snooping: false}\n" + kServer), {.interface = "eth1"})
                 .starts_with("--uplink needs dhcp_snooping"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
