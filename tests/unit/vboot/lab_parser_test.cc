#include <boost/test/unit_test.hpp>
#include <string>

#include "base/file.h"
#include "vboot/lab/lab.h"

using namespace rookery;
using namespace rookery::vboot;

namespace {

constexpr std::string_view kSmallest = R"(lab: small
machines:
  server: {role: boot-server}
)";

Lab good(std::string_view text) {
  auto lab = parse_lab(text, "lab.yaml");
  BOOST_REQUIRE_MESSAGE(lab, lab.error().message);
  return *lab;
}

std::string problems(std::string_view text) {
  auto lab = parse_lab(text, "lab.yaml");
  BOOST_REQUIRE(!lab);
  BOOST_TEST((lab.error().kind == ErrorKind::usage));
  return lab.error().message;
}

// The smallest lab with one more line at its end.
std::string with(std::string_view line) {
  return std::string(kSmallest) + std::string(line) + "\n";
}
// The smallest lab with a group of clients that has this in it.
std::string with_clients(std::string_view in) {
  return with("  n: {role: client, " + std::string(in) + "}");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lab_parser_suite)

BOOST_AUTO_TEST_CASE(fills_in_the_defaults_of_the_smallest_lab) {
  const Lab lab = good(kSmallest);
  BOOST_TEST(lab.name == "small");
  BOOST_TEST(lab.image == "debian-12");
  BOOST_TEST(to_text(lab.vlans.at(0).subnet) == "10.77.0.0/16");
  BOOST_TEST(lab.domain == "small.internal");
  BOOST_REQUIRE(lab.groups.size() == 1u);
  const MachineGroup& server = lab.groups[0];
  BOOST_TEST(server.name == "server");
  BOOST_TEST(!server.count);
  BOOST_TEST((server.roles == RoleNames{"boot-server"}));
  BOOST_TEST(server.backend == "uml");
  BOOST_TEST(to_text(server.memory) == "384 MiB");
  BOOST_TEST(server.management);
  BOOST_TEST((server.link == LinkRules{}));
  BOOST_TEST(to_text(server.boot_timeout) == "1 min");
}

BOOST_AUTO_TEST_CASE(reads_the_example) {
  const auto text = read_file("examples/classroom.yaml");
  BOOST_REQUIRE(text);
  const Lab lab = good(*text);
  BOOST_TEST(lab.name == "classroom");
  BOOST_REQUIRE(lab.groups.size() == 2u);
  BOOST_TEST(lab.groups[1].name == "n");
  BOOST_TEST(*lab.groups[1].count == 20u);
  BOOST_TEST(to_text(lab.groups[1].memory) == "64 MiB");
}

BOOST_AUTO_TEST_CASE(lays_a_groups_words_over_the_labs) {
  const Lab lab = good(R"(lab: layers
backend: fake
boot_timeout: 5 s
link: {rate: 1 Gbit/s, delay: 100 us}
machines:
  server: {role: boot-server}
  n: {role: client, count: 2, backend: uml, management: false, boot_timeout: 7 s, link: {delay: 1 ms, queue: 128 KiB}}
)");
  const MachineGroup& server = lab.groups[0];
  const MachineGroup& n = lab.groups[1];
  BOOST_TEST(server.backend == "fake");
  BOOST_TEST(to_text(server.boot_timeout) == "5 s");
  BOOST_TEST(to_text(server.link.delay) == "100 us");
  BOOST_TEST(n.backend == "uml");
  BOOST_TEST(to_text(n.boot_timeout) == "7 s");
  BOOST_TEST(!n.management);
  BOOST_TEST(to_text(*n.link.rate) == "1 Gbit/s");
  BOOST_TEST(to_text(n.link.delay) == "1 ms");
  BOOST_TEST(to_text(n.link.queue) == "128 KiB");
}

BOOST_AUTO_TEST_CASE(names_the_nearest_key_of_a_misspelt_one) {
  BOOST_TEST(problems(with_clients("memmory: 64 MiB")) ==
             "lab.yaml:4:21: unknown key 'memmory' in machine group 'n'; did you mean 'memory'?");
  BOOST_TEST(problems(with("links: {rate: 1 Gbit/s}")).starts_with("lab.yaml:4:1: "));
  BOOST_TEST(problems(std::string("links: {}\n") + std::string(kSmallest)) ==
             "lab.yaml:1:1: unknown key 'links' in the lab file; did you mean 'link'?");
  BOOST_TEST(problems(with_clients("colour: 1 GiB")) ==
             "lab.yaml:4:21: unknown key 'colour' in machine group 'n'; known keys are: role, roles, count, "
             "from, inject, memory, "
             "backend, uri, "
             "management, switch, vlan, link, boot_timeout, firmware, chipset, nic, disk, graphics, wire, "
             "root, changes, boot, "
             "qemu_args");
}

BOOST_AUTO_TEST_CASE(names_the_nearest_role_and_backend) {
  BOOST_TEST(problems(with("  n: {role: cleint}")) ==
             "lab.yaml:4:13: expected a role, found 'cleint'; did you mean 'client'?");
  BOOST_TEST(
      problems(with_clients("backend: vmware")) ==
      "lab.yaml:4:30: expected a backend, found 'vmware'; backends are: uml, qemu, libvirt, xen, fake");
  BOOST_TEST(problems(with("  n: {role: [client]}")) ==
             "lab.yaml:4:13: expected a role, found a list; roles are: boot-server, client, distcc, "
             "nfs-client, nfs-server");
}

BOOST_AUTO_TEST_CASE(reads_where_libvirts_machines_run) {
  const auto uri_of = [](const std::string& words) {
    const auto lab = parse_lab(
        "lab: l\nuri: qemu:///session\nmachines:\n  server: {role: boot-server}\n  n: {role: "
        "client, " +
            words + "}\n",
        "lab.yaml");
    BOOST_REQUIRE_MESSAGE(lab.has_value(), (lab ? "" : lab.error().message));
    return lab->groups.back().uri;
  };
  BOOST_TEST(uri_of("backend: libvirt") == "qemu:///session");
  BOOST_TEST(uri_of("backend: libvirt, uri: 'qemu+ssh://box/session'") == "qemu+ssh://box/session");
  BOOST_TEST(uri_of("backend: qemu") == "");
  BOOST_TEST(
      problems(with_clients("backend: libvirt, uri: 'qenu:///session'"))
              .find("expected a driver of libvirt, found 'qenu'; did you mean 'qemu'?") != std::string::npos,
      problems(with_clients("backend: libvirt, uri: 'qenu:///session'")));
  BOOST_TEST(problems(with_clients("backend: libvirt, uri: session")).find("like qemu:///session") !=
             std::string::npos);
  BOOST_TEST(problems(with_clients("backend: qemu, uri: 'qemu:///session'"))
                 .find("only machines of the backend libvirt "
                       "have a URI") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(two_libvirts_of_which_one_is_within_our_process_are_refused) {
  const auto lab = [](const std::string& one, const std::string& other) {
    return "lab: l\nbackend: libvirt\nmachines:\n  server: {role: boot-server, backend: uml}\n  a: {role: "
           "client" +
           one + "}\n  b: {role: client" + other + "}\n";
  };
  const std::string session = ", uri: 'qemu:///session'", mock = ", uri: 'test:///default'";
  BOOST_TEST(problems(lab("", session)) ==
             "lab.yaml:6:26: machines of qemu:///embed and of qemu:///session cannot be in one lab: within "
             "one process "
             "libvirt has one of them; give all of them one URI");
  BOOST_TEST(problems(lab(session, "")).find("lab.yaml:5:26: ") == 0u);
  BOOST_TEST(problems(lab("", ", uri: 'qemu:///embed?root=/a'")).find("cannot be in one lab") !=
             std::string::npos);
  BOOST_TEST(parse_lab(lab("", ""), "lab.yaml").has_value());
  BOOST_TEST(parse_lab(lab("", mock), "lab.yaml").has_value());
  BOOST_TEST(parse_lab(lab(session, ", uri: 'qemu+unix:///session?socket=/s'"), "lab.yaml").has_value());
}

BOOST_AUTO_TEST_CASE(reports_all_problems_of_a_file_in_its_order) {
  BOOST_TEST(problems(R"(lab: Big
image: 7up
network: {subnet: 10.77.1.0/16, domain: -bad-}
machines:
  server: {role: boot-server, memory: 64}
  n: {count: 0, memory: 1 TB}
)") == "lab.yaml:1:6: expected a lab name like 'classroom' (a-z, 0-9 and '-', first a letter, at most 32), "
       "found "
       "'Big'\n"
       "lab.yaml:2:8: expected an image name like 'debian-12' (a-z, 0-9 and '-' '.' '_', first a letter, at "
       "most "
       "64), found '7up'\n"
       "lab.yaml:3:19: expected a network like '10.77.0.0/16', found '10.77.1.0/16' (an address inside of "
       "it); "
       "did you mean '10.77.0.0/16'?\n"
       "lab.yaml:3:41: expected a domain in lower case like 'classroom.internal', found '-bad-'\n"
       "lab.yaml:5:39: expected a size with its unit, like '64 MiB', found '64' (the unit is missing)\n"
       "lab.yaml:6:3: machine group 'n' needs a role: boot-server, client, distcc, nfs-client, nfs-server\n"
       "lab.yaml:6:14: expected a count of 1 to 4096, found '0'\n"
       "lab.yaml:6:25: expected a size with its unit, like '64 MiB', found '1 TB'; units are: B, KiB, MiB, "
       "GiB");
}

BOOST_AUTO_TEST_CASE(reports_at_most_twenty_problems_and_counts_the_rest) {
  std::string text(kSmallest);
  for (int i = 0; i < 25; ++i) text += "  m" + std::to_string(i) + ": {role: nobody}\n";
  const std::string message = problems(text);
  BOOST_TEST(std::count(message.begin(), message.end(), '\n') == 20);
  BOOST_TEST(message.ends_with("\nlab.yaml: and 5 more"));
}

BOOST_AUTO_TEST_CASE(refuses_a_key_that_is_given_twice) {
  BOOST_TEST(problems(with("lab: again")) == "lab.yaml:4:1: key 'lab' is given twice in the lab file");
  BOOST_TEST(problems(with("  server: {role: client}")) ==
             "lab.yaml:4:3: key 'server' is given twice in machines");
  BOOST_TEST(problems(with_clients("role: client")) ==
             "lab.yaml:4:21: key 'role' is given twice in machine group 'n'");
}

BOOST_AUTO_TEST_CASE(needs_exactly_one_boot_server) {
  BOOST_TEST(problems("lab: none\nmachines:\n  n: {role: client, count: 2}\n") ==
             "lab.yaml:1:1: a lab needs a boot server: 'server: {role: boot-server}' below 'machines:'");
  BOOST_TEST(problems(with("  second: {role: boot-server}")) ==
             "lab.yaml:4:3: a lab has exactly one boot server for now; with second it has 2");
  BOOST_TEST(problems("lab: many\nmachines:\n  s: {role: boot-server, count: 3}\n") ==
             "lab.yaml:3:3: a lab has exactly one boot server for now; with s it has 3");
}

BOOST_AUTO_TEST_CASE(does_not_miss_a_boot_server_whose_role_is_misspelt) {
  BOOST_TEST(problems("lab: x\nmachines:\n  s: {role: bootserver}\n") ==
             "lab.yaml:3:13: expected a role, found 'bootserver'; did you mean 'boot-server'?");
}

BOOST_AUTO_TEST_CASE(holds_quantities_to_their_ranges) {
  BOOST_TEST(problems(with_clients("memory: 1 MiB")) ==
             "lab.yaml:4:29: expected 16 MiB to 1024 GiB, found '1 MiB'");
  BOOST_TEST(problems(with("boot_timeout: 1 ms")) == "lab.yaml:4:15: expected 1 s to 24 h, found '1 ms'");
  BOOST_TEST(problems(with("link: {rate: 1 bit/s, delay: 2 h, queue: 1 B}")) ==
             "lab.yaml:4:14: expected 1 kbit/s to 400 Gbit/s, found '1 bit/s'\n"
             "lab.yaml:4:30: expected 0 ns to 1 min, found '2 h'\n"
             "lab.yaml:4:42: expected 68 KiB to 1 GiB, found '1 B'");
}

BOOST_AUTO_TEST_CASE(lays_a_switchs_storm_rules_over_the_labs_and_those_over_the_defaults) {
  const std::string machines = "machines: {server: {role: boot-server}}\n";
  const auto plain = parse_lab("lab: x\n" + machines, "lab.yaml");
  BOOST_TEST((plain->switches.at(0).storm == StormRules{}));
  BOOST_TEST((StormRules{} == StormRules{true, true, true}));
  const auto one =
      parse_lab("lab: x\nnetwork: {dhcp_snooping: false, mld_snooping: false}\n" + machines, "lab.yaml");
  BOOST_TEST((one->switches.at(0).storm == StormRules{false, true, false}));
  const auto two = parse_lab(
      "lab: x\nnetwork: {dhcp_snooping: false}\nswitches:\n  a: {dhcp_snooping: true}\n"
      "  b: {uplink: a, arp_suppression: false}\nmachines: {server: {role: boot-server, switch: a}}\n",
      "lab.yaml");
  BOOST_TEST((two->switches.at(0).storm == StormRules{true, true, true}));
  BOOST_TEST((two->switches.at(1).storm == StormRules{false, false, true}));
}

BOOST_AUTO_TEST_CASE(takes_numbers_and_truth_values_only_as_such) {
  BOOST_TEST(problems(with_clients("count: '20'")) ==
             "lab.yaml:4:28: expected a count of 1 to 4096, found '20' in quotes");
  BOOST_TEST(problems(with_clients("count: 4097")).find("1 to 4096") != std::string::npos);
  BOOST_TEST(problems(with_clients("count: 99999999999999999999")).find("1 to 4096") != std::string::npos);
  BOOST_TEST(problems(with_clients("count: 010")).find("1 to 4096") != std::string::npos);
  BOOST_TEST(problems(with_clients("management: yes")) ==
             "lab.yaml:4:33: expected true or false, found 'yes'");
}

BOOST_AUTO_TEST_CASE(holds_names_to_what_a_host_name_may_be) {
  for (std::string_view name : {"N", "1n", "n_1", "-n", "n.x", "ä", "a234567890123456789012345678901234"}) {
    BOOST_TEST(problems(with("  " + std::string(name) + ": {role: client, count: 2}"))
                   .starts_with("lab.yaml:4:3: expected a machine name"));
  }
  BOOST_TEST(good(with("  node-: {role: client, count: 2}")).groups[1].name == "node-");
  BOOST_TEST(problems(with("  node-: {role: client}")) ==
             "lab.yaml:4:3: machine name 'node-' must not end with '-' (RFC 1123)");
}

BOOST_AUTO_TEST_CASE(says_what_was_found_where_a_map_belongs) {
  BOOST_TEST(problems("") == "lab.yaml:1:1: the file is empty");
  BOOST_TEST(problems("- a\n- b\n") ==
             "lab.yaml:1:1: expected the lab file to be a map of keys and values, found a list");
  BOOST_TEST(problems("lab: x\nmachines:\n") ==
             "lab.yaml:2:1: expected 'machines' to be a map of machine groups, found nothing");
  BOOST_TEST(problems("lab: x\nmachines: {}\n") ==
             "lab.yaml:2:11: expected 'machines' to be a map of machine groups, found an empty map");
  BOOST_TEST(problems(with("  n: 20")) ==
             "lab.yaml:4:6: expected machine group 'n' to be a map of keys and values, found '20'");
  BOOST_TEST(problems("image: debian-12\n") ==
             "lab.yaml:1:1: a lab needs a name: 'lab: classroom'\n"
             "lab.yaml:1:1: a lab needs 'machines:', a map of machine groups");
}

BOOST_AUTO_TEST_CASE(refuses_what_yaml_has_and_a_lab_has_no_use_for) {
  BOOST_TEST(problems("lab: &a x\n").starts_with("lab.yaml:1:6: anchors and aliases"));
  BOOST_TEST(problems("a: &a [x]\nb: [*a, *a]\n").starts_with("lab.yaml:1:4: anchors and aliases"));
  BOOST_TEST(problems("lab: !!str x\n").starts_with("lab.yaml:1:6: tags are not used"));
  BOOST_TEST(
      problems(std::string(kSmallest) + "---\nlab: two\n").starts_with("lab.yaml:5:1: a second document"));
  BOOST_TEST(problems("lab: {x\n").starts_with("lab.yaml:"));
  BOOST_TEST(problems("lab: x\n\tmachines: {}\n").starts_with("lab.yaml:2:"));
  BOOST_TEST(problems(std::string("lab: x\0y\n", 9)) ==
             "lab.yaml:1:7: a control character: this is not text");
  BOOST_TEST(problems("{[a]: b}").find("expected a key in the lab file, found a list") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_clock_is_a_day_or_a_time_of_one) {
  BOOST_TEST(!good(kSmallest).clock);
  BOOST_TEST(good(with("clock: 2027-03-01")).clock.value() == 1'803'859'200);
  BOOST_TEST(good(with("clock: 2028-02-29 14:30:05")).clock.value() == 1'835'447'405);
  BOOST_TEST(good(with("clock: 1970-01-01")).clock.value() == 0);
  BOOST_TEST(good(with("clock: 2199-12-31 23:59:59")).clock.value() == kLatestClock);
  BOOST_TEST(clock_text(1'835'447'405) == "2028-02-29 14:30:05");
  for (const char* bad : {"2027-3-1", "2027-02-29", "2027-13-01", "2027-03-01 24:00:00",
                          "2027-03-01 10:60:00", "2027-03-01T10:00:00", "2027-03-01 10:00", "1969-12-31",
                          "2200-01-01", "20270301", "0", "[2027-03-01]", "''"}) {
    BOOST_TEST(problems(with(std::string("clock: ") + bad)).starts_with("lab.yaml:4:8: expected a day like "),
               bad);
  }
}

BOOST_AUTO_TEST_CASE(bounds_depth_length_and_number) {
  BOOST_TEST(problems(std::string(100'000, '[')).find("nested deeper than 8 levels") != std::string::npos);
  BOOST_TEST(problems(std::string(300'000, 'a'))
                 .starts_with("lab.yaml: 300000 bytes; a lab file has at most 262144"));
  std::string many = "lab: [";
  for (int i = 0; i < 30'000; ++i) many += "a,";
  BOOST_TEST(problems(many + "]").find("more than 20000 values") != std::string::npos);
  std::string groups = "lab: x\nmachines:\n  s: {role: boot-server}\n";
  for (int i = 0; i < 4096; ++i) groups += "  g" + std::to_string(i) + ": {role: client}\n";
  BOOST_TEST(problems(groups) == "lab.yaml:4099:3: more than 4096 machine groups");
}

BOOST_AUTO_TEST_SUITE_END()
