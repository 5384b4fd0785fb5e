#include "vboot/lab/lab_plan.h"

#include <boost/test/unit_test.hpp>
#include <string>

using namespace rookery;
using namespace rookery::vboot;

namespace {

Lab lab_of(std::string_view machines, std::string_view more = "") {
  auto lab = parse_lab("lab: plan\nmachines:\n  server: {role: boot-server}\n" + std::string(machines) +
                           "\n" + std::string(more) + "\n",
                       "lab.yaml");
  BOOST_REQUIRE_MESSAGE(lab, lab.error().message);
  return *lab;
}
LabPlan plan_of(const Lab& lab, PlanOptions options = {}) {
  auto plan = plan_lab(lab, options);
  BOOST_REQUIRE_MESSAGE(plan, plan.error().message);
  return *plan;
}
std::string refusal(const Lab& lab, PlanOptions options = {}) {
  auto plan = plan_lab(lab, options);
  BOOST_REQUIRE(!plan);
  BOOST_TEST((plan.error().kind == ErrorKind::usage));
  return plan.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lab_plan_suite)

BOOST_AUTO_TEST_CASE(gives_every_machine_its_name_addresses_and_boot_source) {
  const LabPlan plan =
      plan_of(lab_of("  n: {role: client, count: 2, management: false}\n  desk: {role: client}"), {{}, 7});
  BOOST_TEST(plan.name == "plan");
  BOOST_TEST(plan.seed == 7u);
  BOOST_REQUIRE(plan.machines.size() == 4u);
  const MachinePlan& server = plan.machines[0];
  BOOST_TEST(server.name == "server");
  BOOST_TEST(to_text(server.data_mac) == "52:54:00:00:00:00");
  BOOST_TEST(to_text(*server.management_mac) == "0a:52:4b:00:00:00");
  BOOST_TEST(to_text(server.address) == "10.77.0.1");
  BOOST_TEST((server.boot == BootSource::medium));
  const MachinePlan& n2 = plan.machines[2];
  BOOST_TEST(n2.name == "n2");
  BOOST_TEST(n2.index == 2u);
  BOOST_TEST(to_text(n2.data_mac) == "52:54:00:00:00:02");
  BOOST_TEST(!n2.management_mac);
  BOOST_TEST(to_text(n2.address) == "10.77.1.2");
  BOOST_TEST((n2.boot == BootSource::network));
  BOOST_TEST(plan.machines[3].name == "desk");
  BOOST_TEST(to_text(plan.machines[3].address) == "10.77.1.3");
  BOOST_TEST(&plan.boot_server() == &server);
  BOOST_TEST(plan.find("n2") == &n2);
  BOOST_TEST(plan.find("n3") == nullptr);
}

BOOST_AUTO_TEST_CASE(numbers_a_group_with_a_count_of_one) {
  BOOST_TEST(plan_of(lab_of("  n: {role: client, count: 1}")).machines[1].name == "n1");
}

BOOST_AUTO_TEST_CASE(keeps_the_order_of_the_file) {
  auto lab = parse_lab(
      "lab: x\nmachines:\n  z: {role: client, count: 2}\n  s: {role: boot-server}\n  a: {role: client}\n",
      "l");
  BOOST_REQUIRE(lab);
  const LabPlan plan = plan_of(*lab);
  std::string names;
  for (const MachinePlan& machine : plan.machines) names += machine.name + " ";
  BOOST_TEST(names == "z1 z2 s a ");
  BOOST_TEST(to_text(plan.boot_server().address) == "10.77.0.1");
  BOOST_TEST(to_text(plan.boot_server().data_mac) == "52:54:00:00:00:02");
}

BOOST_AUTO_TEST_CASE(plans_four_thousand_machines_with_an_address_each) {
  const LabPlan plan = plan_of(lab_of("  n: {role: client, count: 4095}"));
  BOOST_TEST(plan.machines.size() == 4096u);
  for (std::size_t i = 2; i < plan.machines.size(); ++i) {
    BOOST_REQUIRE(plan.machines[i].address.value == plan.machines[i - 1].address.value + 1);
    BOOST_REQUIRE(plan.machines[i].data_mac > plan.machines[i - 1].data_mac);
  }
  BOOST_TEST((plan.machines.back().address < plan.vlans.at(0).guests.first));
}

BOOST_AUTO_TEST_CASE(keeps_the_top_of_the_subnet_for_guests) {
  const LabPlan large = plan_of(lab_of(""));
  BOOST_TEST(to_text(large.vlans.at(0).guests.first) == "10.77.252.0");
  BOOST_TEST(to_text(large.vlans.at(0).guests.last) == "10.77.255.254");
  const LabPlan small = plan_of(lab_of("", "network: {subnet: 192.168.7.0/28}"));
  BOOST_TEST(to_text(small.vlans.at(0).guests.first) == "192.168.7.12");
  BOOST_TEST(to_text(small.vlans.at(0).guests.last) == "192.168.7.14");
}

BOOST_AUTO_TEST_CASE(fills_a_small_subnet_to_the_last_address_and_no_further) {
  const std::string subnet = "network: {subnet: 192.168.7.0/28}";
  const LabPlan plan = plan_of(lab_of("  n: {role: client, count: 10}", subnet));
  BOOST_TEST(to_text(plan.machines.back().address) == "192.168.7.11");
  BOOST_TEST(
      refusal(lab_of("  n: {role: client, count: 11}", subnet)) ==
      "lab.yaml:5:19: network 192.168.7.0/28 has room for 10 clients (192.168.7.2 to 192.168.7.11; of its 16 "
      "addresses 192.168.7.12 to 192.168.7.14 are for guests), but the lab has 11; a /27 is large enough");
}

BOOST_AUTO_TEST_CASE(lets_nodes_override_the_one_counted_client_group) {
  const Lab lab = lab_of("  n: {role: client, count: 2}\n  desk: {role: client}");
  BOOST_TEST(plan_of(lab, {5, 1}).machines.size() == 7u);
  BOOST_TEST(plan_of(lab, {1, 1}).machines[1].name == "n1");
  BOOST_TEST(refusal(lab, {0, 1}) == "expected --nodes 1 to 4096, found 0");
  BOOST_TEST(refusal(lab, {4095, 1}) == "lab.yaml:5:3: more than 4096 machines");
}

BOOST_AUTO_TEST_CASE(refuses_nodes_where_it_is_not_clear_which_group_is_meant) {
  BOOST_TEST(refusal(lab_of("  a: {role: client, count: 2}\n  b: {role: client, count: 2}"), {5, 1}) ==
             "lab.yaml: --nodes needs one group of clients with a 'count', and there are 2: a, b");
  BOOST_TEST(refusal(lab_of("  a: {role: client}"), {5, 1}) ==
             "lab.yaml: --nodes needs a group of clients with a 'count', and there is none");
}

BOOST_AUTO_TEST_CASE(refuses_two_machines_of_one_name) {
  BOOST_TEST(refusal(lab_of("  n: {role: client, count: 12}\n  n1: {role: client}")) ==
             "lab.yaml:5:3: two machines are called 'n1': one of group 'n' and one of group 'n1'");
  BOOST_TEST(refusal(lab_of("  n: {role: client, count: 12}\n  n1: {role: client, count: 1}")) ==
             "lab.yaml:5:3: two machines are called 'n11': one of group 'n' and one of group 'n1'");
}

BOOST_AUTO_TEST_CASE(refuses_the_names_of_guests) {
  BOOST_TEST(refusal(lab_of("  guest-: {role: client, count: 1}"))
                 .starts_with("lab.yaml:4:3: machine name 'guest-1' is taken"));
  BOOST_TEST(refusal(lab_of("  localhost: {role: client}"))
                 .starts_with("lab.yaml:4:3: machine name 'localhost' is taken"));
  BOOST_TEST(plan_of(lab_of("  guest-room: {role: client}")).machines.size() == 2u);
}

BOOST_AUTO_TEST_CASE(has_one_switch_and_one_network_without_tags_if_the_file_says_nothing_of_them) {
  const LabPlan plan = plan_of(lab_of("  n: {role: client}"));
  BOOST_REQUIRE(plan.switches.size() == 1u);
  BOOST_TEST(plan.switches[0].uplinks.empty());
  BOOST_REQUIRE(plan.vlans.size() == 1u);
  BOOST_TEST(plan.vlans[0].id == 1u);
  BOOST_TEST(to_text(plan.vlans[0].server) == "10.77.0.1");
  BOOST_TEST(!plan.tagged);
}

BOOST_AUTO_TEST_CASE(counts_the_clients_of_each_vlan_from_the_first_and_serves_all_vlans) {
  auto lab = parse_lab(
      "lab: campus\nlink: {rate: 1 Gbit/s}\n"
      "switches: {east: {uplink: core, link: {delay: 20 us}}, core: {}}\n"
      "vlans: {students: {id: 10, subnet: 10.78.0.0/16}, staff: {id: 20, subnet: 10.79.0.0/16}}\n"
      "machines:\n  s: {role: client, count: 2, switch: east, vlan: students}\n"
      "  server: {role: boot-server, switch: core}\n"
      "  t: {role: client, count: 2, switch: core, vlan: staff}\n  u: {role: client, switch: core, vlan: "
      "students}\n",
      "lab.yaml");
  BOOST_REQUIRE_MESSAGE(lab, lab.error().message);
  const LabPlan plan = plan_of(*lab);
  BOOST_TEST(plan.tagged);
  BOOST_TEST((plan.switches[0].uplinks == std::vector<std::size_t>{1}));
  BOOST_TEST(plan.switches[0].link.rate->bits_per_second == 1'000'000'000u);
  BOOST_TEST((plan.switches[0].link.delay == std::chrono::microseconds(20)));
  const auto address = [&](const char* name) { return to_text(plan.find(name)->address); };
  BOOST_TEST(address("s1") == "10.78.1.1");
  BOOST_TEST(address("s2") == "10.78.1.2");
  BOOST_TEST(address("u") == "10.78.1.3");
  BOOST_TEST(address("t1") == "10.79.1.1");
  BOOST_TEST(address("t2") == "10.79.1.2");
  BOOST_TEST(address("server") == "10.78.0.1");
  BOOST_TEST(to_text(plan.vlans[1].server) == "10.79.0.1");
  BOOST_TEST(plan.find("s1")->switch_index == 0u);
  BOOST_TEST(plan.find("t1")->switch_index == 1u);
  BOOST_TEST(plan.find("t1")->vlan_index == 1u);
  BOOST_TEST(to_text(plan.find("t2")->data_mac) == "52:54:00:00:00:04");
}

BOOST_AUTO_TEST_SUITE_END()
