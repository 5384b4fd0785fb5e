#include "images/medium/console_notices.h"

#include <boost/test/unit_test.hpp>

namespace rookery::images {

using Kind = ConsoleNotice::Kind;

BOOST_AUTO_TEST_SUITE(console_notices)

BOOST_AUTO_TEST_CASE(a_time_stamp_that_was_answered_is_said_and_harmless) {
  const auto notice = parse_console_notice(
      "rookery: time stamp counter answered from virtual time: probe, in /usr/bin/probe\r\n");
  BOOST_REQUIRE(notice.has_value());
  BOOST_TEST((*notice == ConsoleNotice{Kind::time_stamp_answered, "probe", "/usr/bin/probe"}));
  BOOST_TEST(!endangers_repetition(*notice));
}

BOOST_AUTO_TEST_CASE(a_hardware_value_endangers_the_repetition) {
  const auto notice = parse_console_notice(
      "[    1.500000] rookery: the processor's own random or processor number: a, in b, in "
      "usr/lib/x/lucky.so");
  BOOST_REQUIRE(notice.has_value());
  BOOST_TEST((*notice == ConsoleNotice{Kind::hardware_value, "a, in b", "usr/lib/x/lucky.so"}));
  BOOST_TEST(endangers_repetition(*notice));
}

BOOST_AUTO_TEST_CASE(a_library_that_asks_the_kernel_by_default_does_not) {
  for (const char* file : {"usr/lib/x86_64-linux-gnu/libcrypto.so.3", "libgcrypt.so.20.4.1",
                           "lib/x86_64-linux-gnu/libstdc++.so.6.0.30", "/ossl-modules/legacy.so"}) {
    BOOST_TEST(!endangers_repetition({Kind::hardware_value, "ssh", file}), file);
  }
  BOOST_TEST(endangers_repetition({Kind::hardware_value, "ssh", "libcrypto.so.3/evil"}));
  BOOST_TEST(endangers_repetition({Kind::hardware_value, "java", "memory"}));
}

BOOST_AUTO_TEST_CASE(other_lines_are_none) {
  for (const char* line : {"", "[", "[  1.0", "rookery: hello",
                           "rookery agent: rookery: time stamp counter answered from virtual time: x",
                           "rookery: time stamp counter answered from virtual time: x"}) {
    BOOST_TEST(!parse_console_notice(line).has_value(), line);
  }
}

BOOST_AUTO_TEST_CASE(what_does_not_print_is_not_passed_on) {
  const auto notice = parse_console_notice(
      "rookery: time stamp counter answered from virtual time: a\x1b[2J, in " + std::string(999, 'b'));
  BOOST_REQUIRE(notice.has_value());
  BOOST_TEST(notice->program == "a?[2J");
  BOOST_TEST(notice->file.size() == 256u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::images
