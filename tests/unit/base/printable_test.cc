#include "base/printable.h"

#include <boost/test/unit_test.hpp>

namespace rookery {

BOOST_AUTO_TEST_SUITE(printable_suite)

BOOST_AUTO_TEST_CASE(text_stays_what_it_is) {
  for (const char* text : {"", "no DHCP offer", "Käse, 日本, 𝄞 ~", "a\\x1b"})
    BOOST_TEST(printable(text) == text);
}

BOOST_AUTO_TEST_CASE(what_a_terminal_would_obey_is_shown) {
  BOOST_TEST(printable("\x1b[2J\x1b]0;title\x07") == "\\x1b[2J\\x1b]0;title\\x07");
  BOOST_TEST(printable("\xc2\x9b\x33\x31m red") == "\\x9b31m red");  // CSI of one character
  BOOST_TEST(printable("\x7f\b\r") == "\\x7f\\x08\\x0d");
  BOOST_TEST(printable("a\u202eb\u2066c\u200bd") == "a\\u202eb\\u2066c\\u200bd");
  BOOST_TEST(printable("\x9b\x80\xff\xc3") == "\\x9b\\x80\\xff\\xc3");
  BOOST_TEST(printable("\xed\xa0\x80\xc0\xaf\xf4\x90\x80\x80") ==
             "\\xed\\xa0\\x80\\xc0\\xaf\\xf4\\x90\\x80\\x80");
}

BOOST_AUTO_TEST_CASE(one_line_stays_one_and_several_stay_several) {
  BOOST_TEST(printable("one\ntwo\tthree") == "one two three");
  BOOST_TEST(printable_lines("one\ntwo\tthree\x1b") == "one\ntwo\tthree\\x1b");
}

BOOST_AUTO_TEST_CASE(a_console_keeps_its_lines_and_colours_and_moves_nothing) {
  ConsoleFilter filter;
  BOOST_TEST(filter.take("\x1b[2J\x1b[01;01H\x1b[=3h\x1b[?7lBooting\r\n") == "Booting\n");
  BOOST_TEST(filter.take("[\x1b[0;32m OK \x1b[0m] Käse\n") == "[\x1b[0;32m OK \x1b[0m] Käse\n");
  BOOST_TEST(filter.take("\x1b]0;owned\x07 \x1bPq#1\x1b\\a\x1b(Bb\x1b"
                         "7c\x1b"
                         "cd\b\x07") == " abcd");
  BOOST_TEST(filter.calm() == "");
  BOOST_TEST(filter.take("\x1b[31mred") == "\x1b[31mred");
  BOOST_TEST(filter.calm() == "\x1b[0m");
  BOOST_TEST(filter.take("\x1b[31;5 p\x1b[>1m\x1b[?25lx") == "x");
  BOOST_TEST(filter.calm() == "");
}

BOOST_AUTO_TEST_CASE(a_console_may_come_in_any_pieces) {
  const std::string all = "\x1b[2JK\u00e4se \x1b[1;31mx\x1b[0m \xff\xc3(\x1b]2;t\x1b\\end\u202e";
  ConsoleFilter whole;
  const std::string expected = whole.take(all);
  BOOST_TEST(expected == "K\u00e4se \x1b[1;31mx\x1b[0m \\xff\\xc3(end\\u202e");
  ConsoleFilter bytes;
  std::string got;
  for (const char c : all) got += bytes.take(std::string_view(&c, 1));
  BOOST_TEST(got == expected);
}

BOOST_AUTO_TEST_CASE(a_sequence_that_never_ends_hides_nothing_for_ever) {
  ConsoleFilter filter;
  BOOST_TEST(filter.take("\x1b[" + std::string(1000, '1') + "\n").size() > 900U);
  BOOST_TEST(filter.take("\x1b]0;never ends\nthe next line\n") == "the next line\n");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery
