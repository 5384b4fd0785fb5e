#include "vboot/control/message_reader.h"

#include <boost/test/unit_test.hpp>
#include <string>

using namespace rookery;
using namespace rookery::vboot;

namespace {
std::string next_of(MessageReader& reader) {
  auto message = reader.next();
  if (!message) return "nothing";
  return *message ? (*message)->dump() : "error: " + message->error().message;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(message_reader_suite)

BOOST_AUTO_TEST_CASE(gives_messages_however_the_bytes_are_cut) {
  const std::string text = "{\"a\":1}\n\n{\"b\":\"x\\ny\"}\n";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    MessageReader reader;
    std::string seen;
    for (std::size_t at = 0; at < text.size(); at += step) {
      reader.feed(as_bytes(std::string_view(text).substr(at, step)));
      while (auto message = reader.next()) seen += (*message)->dump();
    }
    BOOST_TEST(seen == "{\"a\":1}{\"b\":\"x\\ny\"}");
    BOOST_TEST(!reader.inside_line());
  }
}

BOOST_AUTO_TEST_CASE(names_a_bad_line_and_goes_on_with_the_next) {
  MessageReader reader;
  reader.feed(as_bytes("{\"a\":}\n[1]\n{\"ok\":true}\n{\"cut"));
  BOOST_TEST(next_of(reader).starts_with("error: control message: JSON: "));
  BOOST_TEST(next_of(reader) == "error: control message: expected an object, found array");
  BOOST_TEST(next_of(reader) == "{\"ok\":true}");
  BOOST_TEST(next_of(reader) == "nothing");
  BOOST_TEST(reader.inside_line());
  BOOST_TEST(!reader.broken());
}

BOOST_AUTO_TEST_CASE(takes_a_line_of_a_mebibyte_and_breaks_at_one_byte_more) {
  const std::string frame = "{\"a\":\"\"}\n";
  const std::string most = "{\"a\":\"" + std::string(kMessageMost.count - frame.size(), 'x') + "\"}\n";
  BOOST_REQUIRE(most.size() == kMessageMost.count);
  MessageReader reader;
  reader.feed(as_bytes(most));
  BOOST_TEST(next_of(reader).size() == most.size() - 1);
  const std::string more = "{\"a\":\"x" + most.substr(6);
  reader.feed(as_bytes(more));
  BOOST_TEST(next_of(reader) == "error: a control message above 1048576 bytes");
  BOOST_TEST(reader.broken());
  reader.feed(as_bytes("{\"a\":1}\n"));
  BOOST_TEST(next_of(reader) == "nothing");
}

BOOST_AUTO_TEST_CASE(answers_may_be_longer_than_questions) {
  const Json answer = Json::object().set("a", std::string(kMessageMost.count * 2, 'x'));
  const auto line = encode_message(answer, kReplyMost);
  BOOST_REQUIRE(line.has_value());
  MessageReader commands(kReplyMost), supervisors;
  commands.feed(as_bytes(*line));
  BOOST_TEST(next_of(commands).size() == line->size() - 1);
  supervisors.feed(as_bytes(*line));
  BOOST_TEST(next_of(supervisors) == "error: a control message above 1048576 bytes");
}

BOOST_AUTO_TEST_CASE(breaks_without_waiting_for_the_end_of_a_line_that_is_too_long) {
  MessageReader reader;
  const std::string chunk(65536, 'x');
  int fed = 0;
  for (; fed < 100 && !reader.broken(); ++fed) {
    reader.feed(as_bytes(chunk));
    reader.next();
  }
  BOOST_TEST(fed == 17);
}

BOOST_AUTO_TEST_CASE(encodes_a_message_to_a_line_and_refuses_one_that_is_too_long) {
  BOOST_TEST(encode_message(Json::object().set("a", "b/c\n")).value() == "{\"a\":\"b/c\\n\"}\n");
  const auto refused = encode_message(Json::object().set("a", std::string(kMessageMost.count, 'x')));
  BOOST_REQUIRE(!refused);
  BOOST_TEST(refused.error().message == "a control message of 1048585 bytes; at most 1048576");
}

BOOST_AUTO_TEST_SUITE_END()
