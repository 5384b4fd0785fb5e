// The strict reader of fields, and the layouts in which files are written.
#include <boost/test/unit_test.hpp>
#include <cstdint>

#include "base/json/fields.h"
#include "base/json/layout.h"

using namespace rookery;

namespace {

// What a reader of {"name", "size", "at"} says of a text.
std::string said(std::string_view text) {
  const auto json = parse_json_file(text);
  if (!json) {
    BOOST_TEST((json.error().kind == ErrorKind::infrastructure));
    return json.error().message;
  }
  FieldReader fields(*json, "thing");
  fields.text("name", 4);
  fields.integer("size", 1, INT64_MAX);
  fields.objects("at", 2, [](FieldReader& inner) { inner.digest("sha256"); });
  if (fields.has("in")) fields.object("in", [](FieldReader& inner) { inner.text("who", 9); });
  const Status status = fields.finish();
  return status ? "ok" : status.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(json_fields)

BOOST_AUTO_TEST_CASE(takes_what_is_asked_for_and_nothing_else) {
  BOOST_TEST(said(R"({"name":"n","size":1,"at":[]})") == "ok");
  BOOST_TEST(said(R"({"at":[],"in":{"who":"me"},"name":"n","size":18446744073709551615})") == "ok");
  BOOST_TEST(said(R"({"name":"n","size":1,"at":[],"more":0})") ==
             "thing.more: is not a field of this version");
  BOOST_TEST(said(R"({"name":"n","size":1,"at":[],"in":{"who":"me","x":1}})") ==
             "thing.in.x: is not a field of this version");
}

BOOST_AUTO_TEST_CASE(names_the_first_field_that_is_wrong) {
  BOOST_TEST(said("null") == "the JSON ends too early");
  BOOST_TEST(said("[]") == "thing: must be an object");
  BOOST_TEST(said("{}") == "thing.name: is missing");
  BOOST_TEST(said(R"({"name":7})") == "thing.name: must be a string");
  BOOST_TEST(said(R"({"name":"12345"})") == "thing.name: is longer than 4 bytes");
  BOOST_TEST(said(R"({"name":"a\u0000b"})") == "thing.name: holds a control character");
  BOOST_TEST(said(R"({"name":"n","size":NaN})") == "thing.size: must be an integer");
  BOOST_TEST(said(R"({"name":"n","size":-1})") == "thing.size: must be from 1 to 9223372036854775807");
  BOOST_TEST(said(R"({"name":"n","size":1,"at":{}})") == "thing.at: must be a list");
  BOOST_TEST(said(R"({"name":"n","size":1,"at":[1,2,3]})") == "thing.at: has more than 2 entries");
  BOOST_TEST(said(R"({"name":"n","size":1,"at":[1]})") == "thing.at[0]: must be an object");
  BOOST_TEST(said(R"({"name":"n","size":1,"at":[{"sha256":"00"}]})") ==
             "thing.at[0].sha256: must be 64 hexadecimal digits");
}

BOOST_AUTO_TEST_CASE(holds_a_file_to_eight_levels_and_to_one_value) {
  BOOST_TEST(said(R"({"a":[[[[[[1]]]]]]})") == "thing.name: is missing");
  BOOST_TEST(said(R"({"a":[[[[[[[1]]]]]]]})") == "not JSON: nesting too deep at byte 12");
  BOOST_TEST(said("{} {}") == "not JSON: unexpected character at byte 3");
  BOOST_TEST(said("{\"a\"") == "the JSON ends too early");
}

BOOST_AUTO_TEST_CASE(writes_each_layout) {
  const Json value =
      Json::object()
          .set("a/b", "c/d")
          .set("list", Json::array().add(Json::integer(1)).add(Json::object().set("x", Json())))
          .set("none", Json::object())
          .set("nothing", Json::array());
  BOOST_TEST(write_json(value, {}) == value.dump());
  BOOST_TEST(write_json(value, {.in_lines = true, .spaced = true}) == value.pretty());
  BOOST_TEST(write_json(value, {.spaced = true}) ==
             R"({"a/b": "c/d", "list": [1, {"x": null}], "none": {}, "nothing": []})");
  BOOST_TEST(write_json(value, {.in_lines = true, .escape_slashes = true}) == R"({
  "a\/b":"c\/d",
  "list":[
    1,
    {
      "x":null
    }
  ],
  "none":{
  },
  "nothing":[
  ]
})");
}

BOOST_AUTO_TEST_SUITE_END()
