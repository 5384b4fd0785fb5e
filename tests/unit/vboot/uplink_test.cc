#include "vboot/run/network/uplink.h"

#include <fmt/format.h>

#include "tests/unit/netsim/packets.h"
#include "vboot/faults/board.h"
#include "vboot/lab/uplink.h"
#include "vboot/run/network/lab_network.h"

namespace rookery::vboot {
namespace {

using namespace netsim;

// The wire's end: what goes to it is kept, and a test says what comes from it.
struct End final : WrappingPort {
  explicit End(std::vector<Frame>& kept) : frames(kept) {}
  void send(Frame frame) override { frames.push_back(std::move(frame)); }
  void comes(Frame frame) { next().send(std::move(frame)); }
  std::vector<Frame>& frames;
};

// A lab of a boot server and a client (machines 0 and 1), and its uplink.
struct Joined {
  EventLoop loop{std::make_unique<VirtualPacer>()};
  LabPlan plan;
  std::unique_ptr<LabNetwork> network;
  Recorder server, client;
  std::vector<Frame> wire;
  SwitchPort* server_port;
  SwitchPort* client_port;
  End* end;
  std::unique_ptr<Uplink> uplink;

  explicit Joined(const std::string& mode) {
    plan = plan_lab(parse_lab("lab: test\nmachines:\n  server: {role: boot-server}\n  n: {role: client}\n",
                              "test.yaml")
                        .value(),
                    {})
               .value();
    plan.uplink = plan_uplink(plan, {.interface = "eth1", .mode = mode}, {2, 0, 0, 0, 0, 1}).value();
    network = std::make_unique<LabNetwork>(loop, plan, SwitchRules{});
    Switch& at = network->switch_of(plan.machines[0]);
    server_port = &at.attach("server", server);
    at.set_vlans(*server_port, LabNetwork::vlans_of(plan, plan.machines[0]));
    at.set_trusted(*server_port, true);
    client_port = &at.attach("n", client);
    auto port = std::make_unique<End>(wire);
    end = port.get();
    uplink = std::make_unique<Uplink>(loop, plan, UplinkWire{std::move(port), [] { return Status{}; }}, at,
                                      [](const WireMachine&) {});
  }
};

// What machine 7 of the packets says, as if by another.
Frame from(MacAddress mac, ByteBuffer frame) {
  mac.write(frame.data() + 6);
  return Frame::copy(frame);
}
ByteBuffer to_all(ByteBuffer frame) {
  MacAddress::broadcast().write(frame.data());
  return frame;
}
const ByteBuffer kDiscover = to_all(dhcp_frame({.type = 1, .options = {{60, "PXEClient"}}}));
const ByteBuffer kOffer = to_all(dhcp_frame({.type = 2, .from_server = true, .your_address = kClient}));
const MacAddress kStranger = MacAddress::from_bits(0x02'11'22'33'44'55);

}  // namespace

BOOST_AUTO_TEST_SUITE(uplink)

BOOST_AUTO_TEST_CASE(physical_machines_are_served_and_the_labs_own_dhcp_stays_in_the_lab) {
  Joined joined("dhcp");
  joined.end->comes(from(kStranger, kDiscover));
  BOOST_TEST(joined.server.frames.size() == 1u);
  BOOST_TEST(joined.client.frames.empty());
  joined.client_port->send(from(machine(1), kDiscover));
  BOOST_TEST(joined.server.frames.size() == 2u);
  BOOST_TEST(joined.wire.empty());
}

BOOST_AUTO_TEST_CASE(another_dhcp_server_on_the_wire_reaches_nobody_and_is_named) {
  Joined joined("dhcp");
  BOOST_TEST(joined.uplink->other_server() == "");
  joined.end->comes(from(kStranger, kOffer));
  BOOST_TEST(joined.server.frames.empty());
  BOOST_TEST(joined.client.frames.empty());
  BOOST_TEST(joined.uplink->other_server() == kStranger.text());
}

BOOST_AUTO_TEST_CASE(nobody_outside_takes_the_place_of_a_machine_of_the_lab) {
  Joined joined("dhcp");
  joined.end->comes(make_frame(machine(0), machine(1)));
  BOOST_TEST(joined.server.frames.empty());
  BOOST_TEST(joined.uplink->impostors() == 1u);
  joined.end->comes(make_frame(machine(0), kStranger));
  BOOST_TEST(joined.server.frames.size() == 1u);
}

BOOST_AUTO_TEST_CASE(
    beside_another_dhcp_server_nothing_of_the_lab_gets_out_but_its_boot_servers_tagged_frames) {
  Joined joined("proxy");
  joined.client_port->send(from(machine(1), kDiscover));
  joined.client_port->send(make_frame(MacAddress::broadcast(), machine(1)));
  joined.client_port->send(make_frame(kStranger, machine(1)));
  joined.server_port->send(make_frame(MacAddress::broadcast(), machine(0)));
  joined.server_port->send(from(machine(0), kOffer));
  BOOST_TEST(joined.wire.empty());
  joined.server.frames.clear();
  joined.client.frames.clear();

  const MacAddress there = *MacAddress::from_bytes(joined.plan.uplink->proxy->mac);
  joined.server_port->send(
      make_frame(MacAddress::broadcast(), there).tagged(VlanTag{*joined.plan.uplink->vlan}));
  BOOST_REQUIRE(joined.wire.size() == 1u);
  BOOST_TEST(!joined.wire[0].is_tagged());
  BOOST_TEST(joined.client.frames.empty());

  // And that network's own DHCP reaches the boot server's second interface, and no other machine.
  joined.end->comes(from(kStranger, kOffer));
  joined.end->comes(make_frame(machine(1), kStranger));
  joined.end->comes(make_frame(MacAddress::broadcast(), kStranger));
  for (const Frame& frame : joined.server.frames)
    BOOST_TEST(frame.vlan_tag()->vlan() == *joined.plan.uplink->vlan);
  BOOST_TEST(joined.server.frames.size() == 3u);
  BOOST_TEST(joined.client.frames.empty());
}

BOOST_AUTO_TEST_CASE(faults_strike_what_goes_out_and_what_comes_in) {
  Joined joined("dhcp");
  FaultReach reach;
  reach.cables.push_back(joined.uplink->cable());
  FaultBoard board(joined.loop, 1, std::move(reach));
  const auto heard = [&] {
    joined.wire.clear();
    joined.server.frames.clear();
    joined.server_port->send(make_frame(MacAddress::broadcast(), machine(0)));
    joined.end->comes(make_frame(machine(0), kStranger));
    joined.loop.run_until([] { return false; }, std::chrono::seconds(1));
    return fmt::format("{} {}", joined.wire.size(), joined.server.frames.size());
  };
  BOOST_TEST(heard() == "1 1");
  BOOST_REQUIRE(board.set(parse_fault("uplink loss=100% direction=up").value()).has_value());
  BOOST_TEST(heard() == "0 1");
  BOOST_REQUIRE(board.set(parse_fault("uplink:eth1 loss=100% direction=down").value()).has_value());
  BOOST_TEST(heard() == "0 0");
  BOOST_TEST(board.clear("all").value() == 2u);
  BOOST_REQUIRE(board.set(parse_fault("uplink down").value()).has_value());
  BOOST_TEST(heard() == "0 0");
  BOOST_TEST(board.clear("uplink").value() == 1u);
  BOOST_TEST(heard() == "1 1");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
