#include "base/json/json.h"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>

using namespace rookery;

namespace {
Json good(std::string_view text) {
  auto value = Json::parse(text);
  BOOST_REQUIRE_MESSAGE(value, value.error().message);
  return *value;
}
std::string why(std::string_view text) {
  auto value = Json::parse(text);
  BOOST_REQUIRE_MESSAGE(!value, text);
  BOOST_TEST((value.error().kind == ErrorKind::usage));
  return value.error().message;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(json_suite)

BOOST_AUTO_TEST_CASE(keeps_the_order_of_keys) {
  const Json value =
      Json::object().set("z", Json::integer(1)).set("a", "two").set("m", Json::array().add(Json()));
  BOOST_TEST(value.dump() == R"({"z":1,"a":"two","m":[null]})");
  BOOST_TEST(good(value.dump()).dump() == value.dump());
}

BOOST_AUTO_TEST_CASE(a_count_is_whole_however_large) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const Json value = Json::object().set("seed", Json::count(kMost)).set("below", Json::integer(-1));
  BOOST_TEST(value.dump() == R"({"seed":18446744073709551615,"below":-1})");
  const Json read = Json::copy_of(good(value.dump()));
  BOOST_TEST(count_of(read, "seed") == kMost);
  BOOST_TEST(!read.find("seed")->as_integer().has_value());
  BOOST_TEST(count_of(read, "below") == 0u);
  BOOST_TEST(count_of(read, "absent") == 0u);
}

BOOST_AUTO_TEST_CASE(reads_every_kind_and_gives_nothing_for_the_others) {
  const Json value = good(R"({"b":true,"i":-7,"d":1.5,"s":"x/\u00e4","a":[1,2],"n":null})");
  BOOST_TEST(value.find("b")->as_boolean().value());
  BOOST_TEST(value.find("i")->as_integer().value() == -7);
  BOOST_TEST(value.find("i")->as_number().value() == -7.0);
  BOOST_TEST(value.find("d")->as_number().value() == 1.5);
  BOOST_TEST(value.find("s")->as_string().value() == "x/ä");
  BOOST_TEST(value.find("a")->size() == 2u);
  BOOST_TEST(value.find("a")->at(1).as_integer().value() == 2);
  BOOST_TEST(value.find("a")->at(2).is_null());
  BOOST_TEST(value.find("n")->is_null());
  BOOST_TEST(!value.find("x"));
  BOOST_TEST(!value.find("s")->as_integer());
  BOOST_TEST(!value.find("i")->as_string());
  BOOST_TEST(!value.find("d")->as_integer());
  BOOST_TEST(value.view().members().size() == 6u);
  BOOST_TEST(value.view().members()[2].first == "d");
  BOOST_TEST(!JsonView().find("x"));
}

BOOST_AUTO_TEST_CASE(copies_deeply) {
  Json one = Json::object().set("inner", Json::object().set("x", Json::number(0.1)));
  Json two = one;
  two.set("more", Json::boolean(true));
  BOOST_TEST(one.dump() == R"({"inner":{"x":0.1}})");
  BOOST_TEST(two.dump() == R"({"inner":{"x":0.1},"more":true})");
  BOOST_TEST(Json::copy_of(*two.find("inner")).dump() == R"({"x":0.1})");
}

BOOST_AUTO_TEST_CASE(writes_numbers_short_and_so_that_they_read_back) {
  BOOST_TEST(Json::number(0.1).dump() == "0.1");
  BOOST_TEST(Json::number(20).dump() == "20.0");
  BOOST_TEST(good(Json::number(1e300).dump()).view().as_number().value() == 1e300);
  BOOST_TEST(Json::number(std::nan("")).dump() == "null");
  BOOST_TEST(Json::number(std::numeric_limits<double>::infinity()).dump() == "null");
  BOOST_TEST(Json::integer(std::numeric_limits<std::int64_t>::min()).dump() == "-9223372036854775808");
}

BOOST_AUTO_TEST_CASE(gives_no_integer_that_does_not_fit) {
  BOOST_TEST(good("9223372036854775807").view().as_integer().value() ==
             std::numeric_limits<std::int64_t>::max());
  BOOST_TEST(!good("9223372036854775808").view().as_integer());
}

BOOST_AUTO_TEST_CASE(writes_one_line_of_utf8_whatever_the_text_is) {
  BOOST_TEST(Json::string("a\nb\"c\\u0000").dump() == R"("a\nb\"c\\u0000")");
  BOOST_TEST(good(Json::string("a\nb\"c\\u0000").dump()).view().as_string().value() == "a\nb\"c\\u0000");
  using namespace std::string_view_literals;
  BOOST_TEST(Json::string("a\0b\xff\xc3\xa4\xed\xa0\x80"sv).view().as_string().value() ==
             "a\uFFFDb\uFFFDä\uFFFD\uFFFD\uFFFD");
  BOOST_TEST(is_utf8("ä€😀"));
  for (std::string_view bad :
       {"\xc0\x80"sv, "\xe0\x80\x80"sv, "\xf4\x90\x80\x80"sv, "\xc3"sv, "\x80"sv, "\0"sv}) {
    BOOST_TEST(!is_utf8(bad));
    BOOST_TEST(Json::parse(Json::string(bad).dump()).has_value());
  }
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_json) {
  for (std::string_view text :
       {"['a']", "{\"a\":1,}", "[1,]", "tru", "TRUE", "{} x", "{}{}", "/* c */ 1", "+1", "01x", "\"\xff\"",
        "{\"a\" 1}", "NaN", "Infinity", "-Infinity", "1e999", "\"\\u0000\""}) {
    BOOST_TEST(why(text).starts_with("JSON: "), text);
  }
  BOOST_TEST(why("") == "JSON: the text ends too early");
  BOOST_TEST(why("{\"a\":") == "JSON: the text ends too early");
  BOOST_TEST(why(std::string_view("1\0", 2)) == "JSON: a NUL byte");
  BOOST_TEST(good(" 1 ").dump() == "1");
}

BOOST_AUTO_TEST_CASE(bounds_the_depth) {
  const std::string deep(Json::kDepth + 1, '[');
  BOOST_TEST(why(deep).find("nesting") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
