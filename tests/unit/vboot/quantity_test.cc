#include "vboot/lab/quantity.h"

#include <boost/test/unit_test.hpp>

using namespace rookery;
using namespace rookery::vboot;

namespace {
template <typename T>
std::string why(const Result<T>& result) {
  BOOST_REQUIRE(!result);
  BOOST_TEST((result.error().kind == ErrorKind::usage));
  return result.error().message;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(quantity_suite)

BOOST_AUTO_TEST_CASE(reads_sizes_times_and_rates_with_their_units) {
  BOOST_TEST(parse_size("64 MiB")->count == 64u << 20);
  BOOST_TEST(parse_size("64MiB")->count == 64u << 20);
  BOOST_TEST(parse_size("1.5 GiB")->count == 1536u << 20);
  BOOST_TEST(parse_size("512 B")->count == 512u);
  BOOST_TEST(parse_duration("100 us")->count() == 100'000);
  BOOST_TEST(parse_duration("0.5 s")->count() == 500'000'000);
  BOOST_TEST(parse_duration("2 h")->count() == 7'200'000'000'000);
  BOOST_TEST(parse_bit_rate("1 Gbit/s")->bits_per_second == 1'000'000'000u);
  BOOST_TEST(parse_bit_rate("2.5 Gbit/s")->bits_per_second == 2'500'000'000u);
}

BOOST_AUTO_TEST_CASE(refuses_a_number_without_its_unit) {
  BOOST_TEST(why(parse_size("64")) ==
             "expected a size with its unit, like '64 MiB', found '64' (the unit is missing)");
  BOOST_TEST(why(parse_duration("60 ")) ==
             "expected a time with its unit, like '100 us', found '60 ' (the unit is missing)");
}

BOOST_AUTO_TEST_CASE(says_which_unit_is_meant) {
  BOOST_TEST(why(parse_size("64 MB")).ends_with("found '64 MB'; did you mean 'MiB'?"));
  BOOST_TEST(why(parse_size("64 mib")).ends_with("; did you mean 'MiB'?"));
  BOOST_TEST(why(parse_size("1G")).ends_with("; did you mean 'GiB'?"));
  BOOST_TEST(why(parse_duration("5 minutes")).ends_with("; did you mean 'min'?"));
  BOOST_TEST(why(parse_duration("5 µs")).ends_with("; did you mean 'us'?"));
  BOOST_TEST(why(parse_bit_rate("1 Gbps")).ends_with("; did you mean 'Gbit/s'?"));
  BOOST_TEST(why(parse_bit_rate("1 parsec")).ends_with("; units are: bit/s, kbit/s, Mbit/s, Gbit/s"));
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_whole_number_of_the_smallest_unit) {
  BOOST_TEST(why(parse_size("0.5 B")).ends_with("(not a whole number of B)"));
  BOOST_TEST(why(parse_duration("0.25 ns")).ends_with("(not a whole number of ns)"));
  BOOST_TEST(parse_duration("0.001 us")->count() == 1);
}

BOOST_AUTO_TEST_CASE(refuses_numbers_that_are_too_long_or_too_large) {
  BOOST_TEST(why(parse_size("1234567890 B")).ends_with("(too many digits)"));
  BOOST_TEST(why(parse_size("1.2345 GiB")).ends_with("(too many digits)"));
  BOOST_TEST(why(parse_duration("999999999 h")).ends_with("(too large)"));
  BOOST_TEST(parse_size("999999999.999 KiB").has_value() == false);  // no whole number of bytes
}

BOOST_AUTO_TEST_CASE(refuses_signs_spaces_and_words) {
  for (std::string_view text :
       {"", "-1 s", "+1 s", " 1 s", "1  s", "1 s ", ".5 s", "1. s", "1e3 s", "one s", "1,5 s"}) {
    BOOST_TEST(!parse_duration(text), text);
  }
}

BOOST_AUTO_TEST_CASE(writes_the_shortest_text_that_means_the_same) {
  BOOST_TEST(to_text(mebibytes(64)) == "64 MiB");
  BOOST_TEST(to_text(mebibytes(1536)) == "1536 MiB");
  BOOST_TEST(to_text(Bytes{0}) == "0 B");
  BOOST_TEST(to_text(Duration(std::chrono::seconds(90))) == "90 s");
  BOOST_TEST(to_text(Duration(std::chrono::minutes(2))) == "2 min");
  BOOST_TEST(to_text(BitRate{1'000'000'000}) == "1 Gbit/s");
}

BOOST_AUTO_TEST_SUITE_END()
