// The switches and trunks of a plan, with a plain port for each machine: who hears whom, when, and with which
// tag.
#include "vboot/run/network/lab_network.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "base/loop/event_loop.h"
#include "base/random.h"
#include "netsim/ports/in_process_port.h"

using namespace rookery;
using namespace rookery::vboot;

namespace {

constexpr std::string_view kSwitches =
    "switches: {core: {}, east: {uplink: core, link: {delay: 20 us}}, west: {uplink: core, link: {delay: 30 "
    "us}}}\n";
constexpr std::string_view kVlans =
    "vlans: {students: {id: 10, subnet: 10.78.0.0/16}, staff: {id: 20, subnet: 10.79.0.0/16}}\n";
constexpr std::string_view kMachines =
    "machines:\n  server: {role: boot-server, switch: core}\n"
    "  s: {role: client, switch: east, vlan: students}\n  t: {role: client, switch: west, vlan: staff}\n"
    "  u: {role: client, switch: west, vlan: students}\n";
constexpr std::string_view kMachinesWithoutVlans =
    "machines:\n  server: {role: boot-server, switch: core}\n  s: {role: client, switch: east}\n"
    "  t: {role: client, switch: west}\n";

LabPlan plan_of(const std::string& text) {
  auto lab = parse_lab("lab: x\n" + text, "lab.yaml");
  BOOST_REQUIRE_MESSAGE(lab, lab.error().message);
  auto plan = plan_lab(*lab, {});
  BOOST_REQUIRE_MESSAGE(plan, plan.error().message);
  return *plan;
}

// Every machine of a plan, with its cable of no length.
struct Machines {
  struct Heard {
    Duration after{0};
    std::uint16_t vlan = 0;  // of its tag; 0 without
  };

  explicit Machines(const std::string& text) : plan(plan_of(text)) {
    for (const MachinePlan& machine : plan.machines) {
      auto& port = ports[machine.name];
      port = std::make_unique<netsim::InProcessPort>([this, name = machine.name](const netsim::Frame& frame) {
        ++frames[name];
        heard[name] = {loop.now() - Time{}, frame.is_tagged() ? frame.vlan_tag()->vlan() : std::uint16_t{0}};
      });
      netsim::Switch& to = network.switch_of(machine);
      const auto station = static_cast<std::uint16_t>(machine.index + 1);
      netsim::FaultPoint& up = faults.emplace_back(loop, netsim::FaultPoint::Side::sends, station);
      netsim::FaultPoint& down = faults.emplace_back(loop, netsim::FaultPoint::Side::hears, station);
      netsim::SwitchPort& at = to.attach(machine.name, down);
      to.set_vlans(at, LabNetwork::vlans_of(plan, machine));
      port->connect(up);
      up.connect(at);
      down.connect(*port);
    }
  }
  // Who hears a broadcast, in the order of their names.
  std::string broadcast(const std::string& from, std::uint16_t vlan = 0) {
    heard.clear();
    std::vector<std::uint8_t> bytes(60);
    std::fill_n(bytes.begin(), 6, std::uint8_t{0xff});
    const MacBytes& mac = plan.find(from)->data_mac;
    std::copy(mac.begin(), mac.end(), bytes.begin() + 6);
    bytes[12] = 0x88;  // local experiments (IEEE 802), which nothing looks into
    bytes[13] = 0xb5;
    netsim::Frame frame = netsim::Frame::copy(bytes);
    if (vlan != 0) frame = std::move(frame).tagged({vlan});
    start = loop.now();
    ports.at(from)->transmit(std::move(frame));
    loop.run();
    std::string names;
    for (const auto& [name, what] : heard) names += name + " ";
    return names;
  }
  Duration after(const std::string& name) const { return heard.at(name).after - (start - Time{}); }

  EventLoop loop{std::make_unique<VirtualPacer>()};
  LabPlan plan;
  std::map<std::string, std::unique_ptr<netsim::InProcessPort>> ports;
  std::deque<netsim::FaultPoint> faults;  // of each machine, what it sends and what it hears
  LabNetwork network{loop, plan, {}};
  std::map<std::string, Heard> heard;
  std::map<std::string, unsigned> frames;
  Time start{};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(lab_network_suite)

BOOST_AUTO_TEST_CASE(carries_a_vlan_over_the_trunks_to_its_machines_and_the_boot_server_alone) {
  Machines lab(std::string(kSwitches) + std::string(kVlans) + std::string(kMachines));
  BOOST_TEST(lab.broadcast("s") == "server u ");
  BOOST_TEST(lab.heard["server"].vlan == 10u);
  BOOST_TEST(lab.heard["u"].vlan == 0u);
  BOOST_TEST(lab.broadcast("t") == "server ");
  BOOST_TEST(lab.heard["server"].vlan == 20u);
}

BOOST_AUTO_TEST_CASE(a_trunk_carries_the_vlans_that_have_machines_at_both_ends) {
  Machines lab(std::string(kSwitches) + std::string(kVlans) + std::string(kMachines));
  const auto carried = [&](std::string_view machine, std::string_view port) {
    std::string vlans;
    for (const netsim::SwitchPort* at : lab.network.switch_of(*lab.plan.find(machine)).ports()) {
      if (at->name() != port) continue;
      for (const VlanPlan& vlan : lab.plan.vlans)
        vlans += at->vlans().contains(vlan.id) ? vlan.name + " " : "";
    }
    return vlans;
  };
  BOOST_TEST(carried("server", "east") == "students ");
  BOOST_TEST(carried("s", "uplink") == "students ");
  BOOST_TEST(carried("server", "west") == "students staff ");
  BOOST_TEST(carried("t", "uplink") == "students staff ");
}

BOOST_AUTO_TEST_CASE(each_switch_has_its_own_rules_against_storms) {
  Machines lab(
      "switches: {core: {mld_snooping: false, arp_suppression: false, dhcp_snooping: false}, "
      "east: {uplink: core}}\nmachines:\n  server: {role: boot-server, switch: core}\n"
      "  s: {role: client, switch: east}\n");
  BOOST_TEST(lab.network.switch_of(*lab.plan.find("server")).addresses() == nullptr);
  BOOST_TEST(lab.network.switch_of(*lab.plan.find("s")).addresses() != nullptr);
}

BOOST_AUTO_TEST_CASE(takes_the_boot_servers_frames_by_their_tags_and_none_without) {
  Machines lab(std::string(kSwitches) + std::string(kVlans) + std::string(kMachines));
  BOOST_TEST(lab.broadcast("server", 10) == "s u ");
  BOOST_TEST(lab.broadcast("server", 20) == "t ");
  BOOST_TEST(lab.broadcast("server", 30) == "");
  BOOST_TEST(lab.broadcast("server") == "");
}

BOOST_AUTO_TEST_CASE(refuses_a_clients_tag_of_another_vlan) {
  Machines lab(std::string(kSwitches) + std::string(kVlans) + std::string(kMachines));
  BOOST_TEST(lab.broadcast("s", 20) == "");
}

BOOST_AUTO_TEST_CASE(takes_each_trunks_time_both_ways) {
  Machines lab(std::string(kSwitches) + std::string(kVlans) + std::string(kMachines));
  using std::chrono::microseconds;
  lab.broadcast("s");
  BOOST_TEST((lab.after("server") == microseconds(20)));
  BOOST_TEST((lab.after("u") == microseconds(50)));
  lab.broadcast("server", 10);
  BOOST_TEST((lab.after("s") == microseconds(20)));
  BOOST_TEST((lab.after("u") == microseconds(30)));
}

BOOST_AUTO_TEST_CASE(trusts_on_each_switch_the_trunk_that_leads_to_the_boot_server) {
  const auto trusted = [](std::string_view at) {
    Machines lab(std::string(kSwitches) +
                 "machines:\n  server: {role: boot-server, switch: " + std::string(at) +
                 "}\n  c: {role: client, switch: core}\n  e: {role: client, switch: east}\n"
                 "  w: {role: client, switch: west}\n");
    std::string names;
    for (const char* machine : {"c", "e", "w"}) {
      for (const netsim::SwitchPort* port : lab.network.switch_of(*lab.plan.find(machine)).ports()) {
        if (port->is_trusted()) names += std::string(machine) + ":" + port->name() + " ";
      }
    }
    return names;
  };
  BOOST_TEST(trusted("core") == "e:uplink w:uplink ");
  BOOST_TEST(trusted("east") == "c:east w:uplink ");
}

BOOST_AUTO_TEST_CASE(is_one_network_without_tags_where_the_lab_has_no_vlans) {
  Machines lab(std::string(kSwitches) + std::string(kMachinesWithoutVlans));
  BOOST_TEST(lab.broadcast("s") == "server t ");
  BOOST_TEST(lab.heard["server"].vlan == 0u);
  BOOST_TEST(lab.broadcast("server") == "s t ");
}

BOOST_AUTO_TEST_CASE(is_one_switch_where_the_lab_has_no_switches) {
  Machines lab("machines:\n  server: {role: boot-server}\n  n: {role: client, count: 3}\n");
  BOOST_TEST(lab.broadcast("n2") == "n1 n3 server ");
}

// Two ways from each leaf to the boot server, which is at core; the plan's first switch is the root.
constexpr std::string_view kTwoWays =
    "switches: {core: {}, spare: {uplink: core, link: {delay: 50 us}}, east: {uplink: [core, spare]}, west: "
    "{uplink: [core, spare]}}\n";

std::string trusted_ports(Machines& lab) {
  std::string names;
  for (const char* machine : {"s", "t"}) {
    for (const netsim::SwitchPort* port : lab.network.switch_of(*lab.plan.find(machine)).ports()) {
      if (port->is_trusted()) names += std::string(machine) + ":" + port->name() + " ";
    }
  }
  return names;
}
std::string in_use(Machines& lab) {
  std::string names;
  for (const std::string& name : lab.network.in_use()) names += name + " ";
  return names;
}
std::uint64_t looped(Machines& lab) {
  std::uint64_t frames = 0;
  for (const MachinePlan& machine : lab.plan.machines) {
    for (const netsim::SwitchPort* port : lab.network.switch_of(machine).ports())
      frames += port->counters().dropped(netsim::SwitchDrop::looped);
  }
  return frames;
}

BOOST_AUTO_TEST_CASE(uses_one_of_several_ways_and_the_other_when_it_is_cut) {
  Machines lab(std::string(kTwoWays) + std::string(kMachinesWithoutVlans));
  std::vector<Cable> trunks = lab.network.trunks();
  BOOST_REQUIRE(trunks.size() == 5u);
  BOOST_TEST(trunks[1].name == "east:core");
  BOOST_TEST(in_use(lab) == "spare:core east:core west:core ");
  BOOST_TEST(trusted_ports(lab) == "s:uplink core t:uplink core ");
  BOOST_TEST(lab.broadcast("s") == "server t ");

  trunks[1].plug(false);
  BOOST_TEST(in_use(lab) == "spare:core west:core ");
  lab.start = lab.loop.now();
  lab.loop.run();  // until it has converged
  BOOST_TEST((lab.loop.now() - lab.start == LabNetwork::kConvergence));
  BOOST_TEST(in_use(lab) == "spare:core east:spare west:core ");
  BOOST_TEST(trusted_ports(lab) == "s:uplink spare t:uplink core ");
  BOOST_TEST(lab.broadcast("s") == "server t ");
  BOOST_TEST((lab.after("server") == std::chrono::microseconds(50)));

  trunks[1].plug(true);
  BOOST_TEST(lab.broadcast("s") == "server t ");  // by the spare still, and then it converges
  BOOST_TEST(in_use(lab) == "spare:core east:core west:core ");
  BOOST_TEST(trusted_ports(lab) == "s:uplink core t:uplink core ");
  BOOST_TEST(lab.broadcast("server") == "s t ");
  BOOST_TEST(looped(lab) == 0u);
}

BOOST_AUTO_TEST_CASE(hears_each_frame_once_however_the_trunks_change) {
  Machines lab(std::string(kTwoWays) + std::string(kMachinesWithoutVlans));
  std::vector<Cable> trunks = lab.network.trunks();
  Random random(7, "trunks");
  unsigned sent = 0;
  for (int i = 0; i < 500; ++i) {
    trunks[random.below(trunks.size())].plug(random.chance(0.7));
    for (int frame = 0; frame < 20; ++frame) {
      lab.loop.after(std::chrono::milliseconds(20 * frame), [&] {
        std::vector<std::uint8_t> bytes(60, 0xff);
        bytes[6] = 2;
        bytes[12] = 0x88;
        lab.ports.at("server")->transmit(netsim::Frame::copy(bytes));
        ++sent;
      });
    }
    lab.loop.run();
  }
  BOOST_TEST(sent == 10'000u);
  BOOST_TEST(lab.frames["s"] <= sent);
  BOOST_TEST(lab.frames["s"] > sent / 2);
  BOOST_TEST(lab.frames["t"] <= sent);
  BOOST_TEST(looped(lab) == 0u);
}

BOOST_AUTO_TEST_CASE(parts_machines_on_several_switches_both_ways_and_one_way) {
  Machines lab(std::string(kSwitches) + std::string(kVlans) + std::string(kMachines));  // server, s, t, u
  netsim::Separation separation;
  for (netsim::FaultPoint& point : lab.faults) point.set_separation(&separation);
  const auto nobody = [](std::uint16_t, const netsim::Frame&) {};
  const std::vector<std::uint16_t> groups{0, 1, 2, 1, 1};  // s and all others
  separation.set("partition", {groups, groups}, nobody);
  BOOST_TEST(lab.broadcast("s") == "");
  BOOST_TEST(lab.broadcast("server", 10) == "u ");
  BOOST_TEST(lab.broadcast("u") == "server ");
  separation.clear("partition");
  separation.set("cut", {{0, 0, 1, 0, 0}, {0, 2, 0, 0, 0}}, nobody);  // what s says does not reach the server
  BOOST_TEST(lab.broadcast("s") == "u ");
  BOOST_TEST(lab.broadcast("server", 10) == "s u ");
}

BOOST_AUTO_TEST_CASE(carries_a_vlan_over_the_way_that_is_in_use) {
  Machines lab(std::string(kTwoWays) + std::string(kVlans) + std::string(kMachines));
  BOOST_TEST(lab.broadcast("s") == "server u ");
  lab.network.trunks()[1].plug(false);
  lab.loop.run();
  BOOST_TEST(lab.broadcast("s") == "server u ");
  BOOST_TEST(lab.broadcast("t") == "server ");
  BOOST_TEST(lab.broadcast("server", 10) == "s u ");
}

BOOST_AUTO_TEST_SUITE_END()
