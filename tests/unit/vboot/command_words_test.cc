// What the command line is understood as, and the tables that people read.
#include "vboot/cli/command_words.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "vboot/cli/table.h"

using namespace rookery::vboot;

namespace {

using Words = std::vector<std::string>;

// What is said of a command line that is wrong.
std::string refusal(Words words) {
  CLI::App app("test");
  app.require_subcommand(0, 1);
  std::string lab, target;
  bool json = false;
  double timeout = 0;
  CLI::App* exec = app.add_subcommand("exec", "Run a program");
  exec->add_option("--lab", lab, "Which lab");
  exec->add_flag("--json", json, "JSON");
  exec->add_option("--timeout", timeout, "Seconds");
  CLI::App* logs = app.add_subcommand("logs", "The console");
  logs->add_option("--lab", lab, "Which lab");
  logs->add_option("machine", target, "Its name");
  words = options_behind(std::move(words));
  std::reverse(words.begin(), words.end());
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return complaint(app, error.what());
  }
  return lab + (json ? " json" : "");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(command_words)

BOOST_AUTO_TEST_CASE(what_is_said_of_a_lab_may_stand_before_the_command) {
  BOOST_TEST(options_behind({"--lab", "x", "--json", "exec", "--all"}) ==
                 (Words{"exec", "--all", "--lab", "x", "--json"}),
             boost::test_tools::per_element());
  BOOST_TEST(options_behind({"exec", "--lab", "x"}) == (Words{"exec", "--lab", "x"}),
             boost::test_tools::per_element());
  BOOST_TEST(options_behind({"--lab"}) == (Words{"--lab"}), boost::test_tools::per_element());
  BOOST_TEST(options_behind({}).empty());
  BOOST_TEST(refusal({"--lab", "x", "exec"}) == "x");
  BOOST_TEST(refusal({"--json", "--lab=y", "exec"}) == "y json");
}

BOOST_AUTO_TEST_CASE(an_option_that_stands_in_the_wrong_place_is_told_its_own) {
  BOOST_TEST(refusal({"--timeout", "3", "exec"}) ==
             "the option '--timeout' stands behind its command: rookery exec --timeout …");
  BOOST_TEST(refusal({"--timeout=3"}) ==
             "the option '--timeout' stands behind its command: rookery up lab.yaml --timeout …");
  BOOST_TEST(refusal({"exec", "--timeot", "3"}) ==
             "exec: there is no option '--timeot'; did you mean '--timeout'?");
  BOOST_TEST(refusal({"--json", "logs", "n1"}) ==
             "logs: there is no option '--json'; options are: --help, --lab");
}

BOOST_AUTO_TEST_CASE(columns_hold_for_names_of_any_length) {
  Table table({"MACHINE", "STATE", ""}, {8, 0, 0});
  table.row({"a-name-of-thirty-two-characters-", "off", "why"});
  table.row({"büro", "running", ""});
  BOOST_TEST(table.text() ==
             "MACHINE                          STATE\n"
             "a-name-of-thirty-two-characters- off     why\n"
             "büro                             running\n");
  BOOST_TEST(Table({"A", "B"}, {4, 0}).text() == "A    B\n");
}

BOOST_AUTO_TEST_SUITE_END()
