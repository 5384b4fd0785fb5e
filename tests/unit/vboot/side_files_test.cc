#include "vboot/lab/side_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "vboot/lab/lab_plan.h"

using namespace rookery;
using namespace rookery::vboot;

namespace {

constexpr const char* kKey =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK3gwzi0O7IrjcyPbekjOteTk34l6xk+1xFR5IagA0Kz me";

const std::string kNoName =
    "hosts.csv:1:1: the first line must name the columns, 'name' among them: 'name,mac,role,address'";

std::string problems_of(std::string_view csv) {
  Problems problems("lab.yaml");
  (void)parse_hosts(csv, "hosts.csv", problems);
  return problems.empty() ? "" : problems.to_error().message;
}

// A lab whose group `desk` is the table, which stands beside it.
Result<LabPlan> plan_with(const std::string& csv, const std::string& more = "") {
  const auto lab = parse_lab(
      "lab: x\nmachines:\n  server: {role: boot-server}\n  desk: {from: hosts.csv, role: client}\n" + more,
      "labs/lab.yaml", {.read = [&](const std::string& path) -> Result<std::string> {
        if (path == "hosts.csv") return csv;
        return fail("no such file");
      }});
  if (!lab) return tl::unexpected<Error>(lab.error());
  return plan_lab(*lab, {});
}
std::string why(const std::string& csv, const std::string& more = "") {
  const auto plan = plan_with(csv, more);
  return plan ? "" : plan.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(side_files)

BOOST_AUTO_TEST_CASE(a_table_gives_its_machines_their_names_and_addresses) {
  const auto plan = plan_with(
      "\xef\xbb\xbfMAC,\"name\",role,address\r\n"
      "# the first row\r\n"
      "02-00-00-00-00-0A,\"desk-1\", client ,10.77.9.1\r\n"
      "\r\n"
      ",desk-2,,\r\n",
      "  n: {role: client, count: 2}\n");
  BOOST_REQUIRE_MESSAGE(plan, (plan ? "" : plan.error().message));
  const MachinePlan *first = plan->find("desk-1"), *second = plan->find("desk-2");
  BOOST_TEST(to_text(first->data_mac) == "02:00:00:00:00:0a");
  BOOST_TEST(to_text(first->address) == "10.77.9.1");
  BOOST_TEST(to_text(second->data_mac) == "52:54:00:00:00:02");
  BOOST_TEST(to_text(second->address) == "10.77.1.1");
  BOOST_TEST(to_text(plan->find("n1")->address) == "10.77.1.2");
}

BOOST_AUTO_TEST_CASE(counted_machines_leave_a_tables_addresses_alone) {
  const auto plan = plan_with("name,address\na,10.77.1.2\n", "  n: {role: client, count: 3}\n");
  BOOST_REQUIRE(plan);
  BOOST_TEST(to_text(plan->find("n1")->address) == "10.77.1.1");
  BOOST_TEST(to_text(plan->find("n2")->address) == "10.77.1.3");
}

BOOST_AUTO_TEST_CASE(every_error_names_the_tables_line) {
  BOOST_TEST(
      problems_of("name,mac\nN1,x\n") ==
      "hosts.csv:2:1: expected a machine name (a-z, 0-9 and '-', first a letter, not '-' last, at most 32), "
      "found 'N1'\nhosts.csv:2:4: expected a MAC address like '52:54:00:12:34:56' (or with dashes, "
      "5254.0012.3456, "
      "525400123456), found 'x'");
  BOOST_TEST(
      problems_of("nam\na\n") ==
      "hosts.csv:1:1: unknown column 'nam'; columns are: name, mac, role, address; did you mean 'name'?\n" +
          kNoName);
  BOOST_TEST(problems_of("name,name\na,b\n") == "hosts.csv:1:6: column 'name' is there twice");
  BOOST_TEST(problems_of("mac\n") == kNoName);
  BOOST_TEST(problems_of("") == "hosts.csv:1:1: the table has no machine");
  BOOST_TEST(problems_of("name,role\na\n") ==
             "hosts.csv:2:1: expected 2 fields, as the first line has, found 1");
  BOOST_TEST(problems_of("name\n\"a\n") == "hosts.csv:2:1: this quote has no end, or something follows it");
  BOOST_TEST(problems_of("name,role\na,Client!\n") ==
             "hosts.csv:2:3: expected a role like 'client', found 'Client!'");
  const auto strange = plan_with("name,role\na,clint\n");
  BOOST_REQUIRE(!strange);
  BOOST_TEST(strange.error().message ==
             "labs/hosts.csv:2:3: expected a role, found 'clint'; did you mean 'client'?");
  // However often a table is named.
  std::string many = "lab: x\nmachines:\n  server: {role: boot-server}\n", table = "name\n";
  for (int i = 0; i < 4000; ++i) table += "a" + std::to_string(i) + "\n";
  for (int i = 0; i < 100; ++i) many += "  d" + std::to_string(i) + ": {from: hosts.csv, role: client}\n";
  int reads = 0;
  const auto too_many = parse_lab(many, "lab.yaml", {.read = [&](const std::string&) -> Result<std::string> {
                                    ++reads;
                                    return table;
                                  }});
  BOOST_REQUIRE(!too_many);
  BOOST_TEST(too_many.error().message == "lab.yaml:5:3: more than 4096 machines");
  BOOST_TEST(reads == 2);
  // What is said of all rows at once is wrong once.
  const auto all = parse_lab(
      "lab: x\nmachines:\n  server: {role: boot-server}\n  desk: {from: hosts.csv, role: clint}\n",
      "lab.yaml", {.read = [](const std::string&) -> Result<std::string> { return "name\na\nb\n"; }});
  BOOST_REQUIRE(!all);
  BOOST_TEST(all.error().message == "lab.yaml:4:33: expected a role, found 'clint'; did you mean 'client'?");
  BOOST_TEST(problems_of("name,address\na,10.77.1\n") ==
             "hosts.csv:2:3: expected an address like '10.77.1.1', found '10.77.1'");
  for (const char* mac : {"01:00:5e:00:00:01", "00:00:00:00:00:00", "0a:52:4b:00:00:01"})
    BOOST_TEST(
        problems_of(std::string("name,mac\na,") + mac + "\n").starts_with("hosts.csv:2:3: expected a MAC"));
}

BOOST_AUTO_TEST_CASE(a_mac_address_is_taken_as_switches_print_it) {
  for (const char* mac : {"00:16:3e:00:0a:05", "00-16-3E-00-0A-05", "0016.3e00.0a05", "0016-3E00-0A05",
                          "00163e-000a05", "00163E000A05", "0:16:3e:0:a:5", "0.16.3e.0.a.5"}) {
    const auto plan = plan_with(std::string("name,mac\na,") + mac + "\n");
    BOOST_REQUIRE_MESSAGE(plan, mac);
    BOOST_TEST(to_text(plan->find("a")->data_mac) == "00:16:3e:00:0a:05", mac);
  }
  for (const char* mac :
       {"0016.3e00.001", "00:16:3e:00:00", "00:16-3e:00:00:05", "00163e00000", "0016.3e00:0001",
        "00163e0000011", "0:16:3e:0:0:5:", "000:16:3e:0:0:5", "::::::", "00 16 3e 00 00 01"})
    BOOST_TEST(
        problems_of(std::string("name,mac\na,") + mac + "\n").starts_with("hosts.csv:2:3: expected a MAC"),
        mac);
}

BOOST_AUTO_TEST_CASE(a_table_that_is_none_is_told_what_it_should_be) {
  const std::string comma =
      "hosts.csv:1:1: expected a comma (',') between two fields, as in 'name,mac,role,address'; "
      "here are {}: save the table as CSV with commas";
  BOOST_TEST(problems_of("\xef\xbb\xbfName;MAC\nd1;00:16:3e:00:00:01\n") ==
             fmt::format(fmt::runtime(comma), "semicolons"));
  BOOST_TEST(problems_of("name\tmac\nd1\t00:16:3e:00:00:01\n") == fmt::format(fmt::runtime(comma), "tabs"));
  BOOST_TEST(
      problems_of("name,mac\nd1;00:16:3e:00:00:01\nd2,00:16:3e:00:00:02\n") ==
      "hosts.csv:2:1: expected 2 fields, as the first line has, found 1; expected a comma (',') between two "
      "fields, as in 'name,mac,role,address'; here are semicolons: save the table as CSV with commas");
  using namespace std::string_view_literals;
  const std::string utf16 =
      "hosts.csv:1:1: this is UTF-16 ('Unicode text'), not UTF-8; expected a CSV file in UTF-8, "
      "with commas";
  BOOST_TEST(problems_of("\xff\xfen\0a\0m\0e\0\n\0a\0\n\0"sv) == utf16);
  BOOST_TEST(problems_of("\xfe\xff\0n\0a\0m\0e\0\n\0a\0\n"sv) == utf16);
  BOOST_TEST(problems_of("n\0a\0m\0e\0\n\0a\0\n\0"sv) == utf16);  // without a mark
  BOOST_TEST(problems_of("name\nb\xfcro\n") ==
             "hosts.csv:2:2: this is not UTF-8 (perhaps Latin-1): save the table as CSV in UTF-8");
  BOOST_TEST(problems_of("\"Hostname\",\"IP Address\",\"Owner\"\n\"d1\",\"10.77.9.1\",\"physics, 2nd\"\n") ==
             "hosts.csv:1:1: unknown column 'Hostname'; columns are: name, mac, role, address; did you mean "
             "'name'?\n" +
                 kNoName +
                 "\nhosts.csv:1:12: unknown column 'IP Address'; columns are: name, mac, role, address; did "
                 "you mean 'address'?\nhosts.csv:1:25: unknown column 'Owner'; columns are: name, mac, role, "
                 "address");
}

BOOST_AUTO_TEST_CASE(a_table_is_taken_as_spreadsheets_write_it) {
  // Marks, blanks in and around quotes, empty rows and columns at the end, the line ends of three systems.
  for (const char* end : {"\n", "\r\n", "\r"}) {
    std::string csv = "\xef\xbb\xbf \"Name \" ,\tMAC,,";
    for (const char* line : {" # a comment", "\" d1 \" , 00:16:3e:00:00:01 ,,", ",,,", "d2,,,", " , , ,"})
      csv += end + std::string(line);
    const auto plan = plan_with(csv + end);
    BOOST_REQUIRE_MESSAGE(plan, (plan ? "" : plan.error().message));
    BOOST_TEST(plan->machines.size() == 3u);
    BOOST_TEST(to_text(plan->find("d1")->data_mac) == "00:16:3e:00:00:01");
  }
  BOOST_TEST(problems_of("name,\nd1,x\n") == "hosts.csv:2:4: 'x' stands in a column that has no name");
  BOOST_TEST(problems_of("name,\n,\n") == "hosts.csv:1:1: the table has no machine");
}

BOOST_AUTO_TEST_CASE(all_errors_of_a_table_are_told_at_once) {
  // What a line says by itself, and what only a plan can tell, each at its line.
  BOOST_TEST(
      why("name,mac,address,rack\n"
          "PC-1,00:16:3e:00:00:01,10.77.9.1,r\n"
          "d2,00:16:3E:00:00:01,10.77.9.1,r\n"
          "d3,x,10.99.9.1,r\n"
          "d3,,,r\n"
          "localhost,,,r\n") ==
      "labs/hosts.csv:1:18: unknown column 'rack'; columns are: name, mac, role, address\n"
      "labs/hosts.csv:2:1: expected a machine name (a-z, 0-9 and '-', first a letter, not '-' last, at most "
      "32), found 'PC-1'\n"
      "labs/hosts.csv:3:4: two machines have the MAC address 00:16:3e:00:00:01: PC-1 and d2\n"
      "labs/hosts.csv:3:22: 'd2' cannot have the address 10.77.9.1: it is PC-1's\n"
      "labs/hosts.csv:4:4: expected a MAC address like '52:54:00:12:34:56' (or with dashes, 5254.0012.3456, "
      "525400123456), found 'x'\n"
      "labs/hosts.csv:4:6: 'd3' cannot have the address 10.99.9.1: its network is 10.77.0.0/16\n"
      "labs/hosts.csv:5:1: two machines are called 'd3': one of group 'd3' and one of group 'd3'\n"
      "labs/hosts.csv:6:1: machine name 'localhost' is taken: every machine calls itself that");
  std::string many = "name\n";
  for (int i = 0; i < 50; ++i) many += "N" + std::to_string(i) + "\n";
  const std::string said = why(many);
  BOOST_TEST(std::count(said.begin(), said.end(), '\n') == 20);
  BOOST_TEST(said.ends_with("found 'N19'\nlabs/hosts.csv: and 30 more"));
}

BOOST_AUTO_TEST_CASE(a_table_has_limits) {
  std::string csv = "name\n";
  for (std::uint32_t i = 0; i <= kMachinesMax; ++i) csv += "m" + std::to_string(i) + "\n";
  BOOST_TEST(problems_of(csv) == "hosts.csv:4098:1: more than 4096 machines");
  BOOST_TEST(problems_of("name\n" + std::string(257, 'a')) ==
             "hosts.csv:2:1: a field of more than 256 bytes");
  BOOST_TEST(problems_of(std::string(20, ',')) == "hosts.csv:1:17: more than 16 columns");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_is_said_at_its_line_in_the_table) {
  BOOST_TEST(why("name,address\na,10.77.0.1\n") ==
             "labs/hosts.csv:2:3: 'a' cannot have the address 10.77.0.1: that is the boot server's");
  BOOST_TEST(why("name,address\na,10.78.0.1\n") ==
             "labs/hosts.csv:2:3: 'a' cannot have the address 10.78.0.1: its network is 10.77.0.0/16");
  BOOST_TEST(why("name,address\na,10.77.253.1\n") ==
             "labs/hosts.csv:2:3: 'a' cannot have the address 10.77.253.1: 10.77.252.0 to 10.77.255.254 are "
             "for guests");
  BOOST_TEST(why("name,address\na,10.77.1.9\nb,10.77.1.9\n") ==
             "labs/hosts.csv:3:3: 'b' cannot have the address 10.77.1.9: it is a's");
  BOOST_TEST(why("name,mac\na,02:00:00:00:00:01\nb,02:00:00:00:00:01\n") ==
             "labs/hosts.csv:3:3: two machines have the MAC address 02:00:00:00:00:01: a and b");
  BOOST_TEST(why("name\nserver\n") ==
             "labs/hosts.csv:2:1: two machines are called 'server': one of group 'server' and one of group "
             "'server'");
  BOOST_TEST(why("name\na\n", "  n: {role: client, count: 2, from: hosts.csv}\n")
                 .starts_with("labs/lab.yaml:5:37: machine group 'n' has both 'count' and 'from'"));
  BOOST_TEST(why("name\na\n", "  n: {role: client, from: other.csv}\n") ==
             "labs/lab.yaml:5:27: cannot read a table of machines (CSV): no such file");
}

BOOST_AUTO_TEST_CASE(a_key_is_an_openssh_public_key_or_refused_by_name) {
  BOOST_TEST(problem_of_key(kKey) == "");
  BOOST_TEST(problem_of_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA") ==
             "this ssh-ed25519 key is damaged: "
             "'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA'");
  BOOST_TEST(
      problem_of_key("ssh-rsa " + std::string(kKey).substr(12)).starts_with("this ssh-rsa key is damaged"));
  BOOST_TEST(problem_of_key("-----BEGIN OPENSSH PRIVATE KEY-----").starts_with("that is a private key"));
  BOOST_TEST(problem_of_key("hello world").starts_with("expected an OpenSSH public key"));
  BOOST_TEST(problem_of_key("ssh-dss " + std::string(kKey).substr(12))
                 .starts_with("expected an OpenSSH public key"));
  Problems problems("lab.yaml");
  const auto keys = parse_keys("# mine\n" + std::string(kKey) + "\r\nnonsense\n", "keys.pub", problems);
  BOOST_TEST(keys.size() == 1u);
  BOOST_TEST(problems.to_error().message ==
             "keys.pub:3:1: expected an OpenSSH public key like 'ssh-ed25519 AAAA… me', found 'nonsense'");
}

BOOST_AUTO_TEST_CASE(a_key_is_taken_with_tabs_blanks_and_options) {
  const std::string data = std::string(kKey).substr(12, 68);
  for (const std::string& key :
       {"ssh-ed25519\t" + data + "\tme", "ssh-ed25519   " + data + "  me and you", "  ssh-ed25519 " + data,
        "no-pty,from=\"10.0.0.*,!10.0.0.1\",Restrict ssh-ed25519 " + data,
        "command=\"echo \\\"hi, you\\\" # x\" \t ssh-ed25519\t" + data,
        "environment=\"A=b c\",no-X11-forwarding\tssh-ed25519 " + data + " me"}) {
    BOOST_TEST(problem_of_key(key) == "", key);
    Problems problems("lab.yaml");
    const auto keys = parse_keys(key + "\n", "keys.pub", problems);
    BOOST_REQUIRE_EQUAL(keys.size(), 1u);
    BOOST_TEST(key.ends_with(keys[0]));  // as it is
  }
  const auto why_not = [&](const std::string& options) {
    return problem_of_key(options + " ssh-ed25519 " + data);
  };
  BOOST_TEST(why_not("no-ptty") == "sshd knows no option 'no-ptty' of a key; did you mean 'no-pty'?");
  BOOST_TEST(why_not("from=10.0.0.1") == "the value of the option 'from' of a key stands in double quotes");
  BOOST_TEST(why_not("command") == "the option 'command' of a key needs a value in double quotes");
  BOOST_TEST(why_not("pty=\"x\"") == "the option 'pty' of a key takes no value");
  BOOST_TEST(why_not("command=\"x") == "the value of the option 'command' of a key has no end");
  BOOST_TEST(
      why_not("command=\"x\"y").starts_with("expected a blank behind the options of the key, found 'y "));
  BOOST_TEST(why_not("pty,,restrict").starts_with("sshd knows no option '' of a key"));
  using namespace std::string_view_literals;
  Problems problems("lab.yaml");
  BOOST_TEST(parse_keys("\xff\xfes\0s\0h\0"sv, "keys.pub", problems).empty());
  BOOST_TEST(problems.to_error().message ==
             "keys.pub:1:1: this is UTF-16 ('Unicode text'), not UTF-8; expected "
             "OpenSSH public keys, one a line");
  // In the lab file itself.
  const auto plan = plan_with("name\na\n", "authorized_keys: \"ssh-ed25519\\t" + data + "\"\n");
  BOOST_REQUIRE_MESSAGE(plan, (plan ? "" : plan.error().message));
  BOOST_TEST(plan->authorized_keys.at(0) == "ssh-ed25519\t" + data);
}

BOOST_AUTO_TEST_CASE(what_is_injected_stays_where_it_is_said_to_be) {
  const auto refused = [](const std::string& to) {
    return why("name\na\n", "inject: [{from: x, to: " + to + "}]\n").starts_with("labs/lab.yaml:5:");
  };
  for (const char* to : {"etc/motd", "/../etc", "/a/./b", "/a//b", "'/a/..'", "''"})
    BOOST_TEST(refused(to), to);
  const auto plan = plan_with("name\na\n", "inject: [{from: x, to: /etc/x}, tools.deb]\n");
  BOOST_REQUIRE(plan);
  BOOST_TEST(plan->gives());
  const auto& given = plan->find("a")->inject;
  BOOST_REQUIRE_EQUAL(given.size(), 2u);
  BOOST_TEST(given[0].from == "labs/x");
  BOOST_TEST(given[1].from == "labs/tools.deb");
  BOOST_TEST(given[1].to == "");
}

BOOST_AUTO_TEST_SUITE_END()
