#include "vboot/control/messages.h"

#include <boost/test/unit_test.hpp>

#include "vboot/control/message_reader.h"

using namespace rookery;
using namespace rookery::vboot;

namespace {
std::string why(std::string_view text) {
  auto reply = parse_reply(Json::parse(text).value());
  BOOST_REQUIRE_MESSAGE(!reply, text);
  return reply.error().message;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(messages_suite)

BOOST_AUTO_TEST_CASE(a_result_an_error_and_an_event_read_back_as_they_were) {
  const auto result = parse_reply(result_message(3, Json::object().set("ready", Json::integer(20))));
  BOOST_REQUIRE(result);
  BOOST_TEST(result->id == 3);
  BOOST_TEST(std::get<Json>(result->body).dump() == "{\"ready\":20}");

  for (ErrorKind kind : {ErrorKind::expectation, ErrorKind::usage, ErrorKind::timeout,
                         ErrorKind::infrastructure, ErrorKind::not_reproducible}) {
    const auto error = parse_reply(error_message(4, Error{kind, "no machine 'n77'"}));
    BOOST_REQUIRE(error);
    BOOST_TEST((std::get<Error>(error->body).kind == kind));
    BOOST_TEST(std::get<Error>(error->body).message == "no machine 'n77'");
  }

  const auto event =
      parse_reply(event_message(5, "stage", Json::object().set("machine", "n1").set("stage", "dhcp")));
  BOOST_REQUIRE(event);
  BOOST_TEST(std::get<ControlEvent>(event->body).name == "stage");
  BOOST_TEST(std::get<ControlEvent>(event->body).fields.dump() ==
             R"({"id":5,"event":"stage","machine":"n1","stage":"dhcp"})");
}

BOOST_AUTO_TEST_CASE(output_carries_any_bytes) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  const auto reply = parse_reply(to_json(1, OutputEvent{"n7", "stdout", all}));
  BOOST_REQUIRE(reply);
  const auto output = output_of(std::get<ControlEvent>(reply->body));
  BOOST_REQUIRE(output);
  BOOST_TEST(output->machine == "n7");
  BOOST_TEST(output->stream == "stdout");
  BOOST_TEST((output->data == all));
}

BOOST_AUTO_TEST_CASE(the_most_output_fits_a_message) {
  const Json event =
      to_json(1, OutputEvent{std::string(63, 'n'), "console", std::string(kOutputMost, '\xff')});
  BOOST_TEST(encode_message(event).has_value());
}

BOOST_AUTO_TEST_CASE(an_exit_carries_its_code) {
  const auto reply = parse_reply(to_json(1, ExitedEvent{"n7", 130}));
  BOOST_REQUIRE(reply);
  const auto exited = exited_of(std::get<ControlEvent>(reply->body));
  BOOST_REQUIRE(exited);
  BOOST_TEST(exited->exit_code == 130);
  BOOST_TEST(!output_of(std::get<ControlEvent>(reply->body)));
}

BOOST_AUTO_TEST_CASE(refuses_malformed_replies_by_name) {
  BOOST_TEST(why("[]") == "control reply: expected an 'id' of 0 or more");
  BOOST_TEST(why(R"({"id":-1,"result":1})") == "control reply: expected an 'id' of 0 or more");
  BOOST_TEST(why(R"({"id":1})") == "control reply: expected an 'event', a 'result' or an 'error'");
  BOOST_TEST(why(R"({"id":1,"event":2})") == "control reply: expected a string 'event'");
  BOOST_TEST(why(R"({"id":1,"error":{"kind":"odd","message":"x"}})") ==
             "control reply: expected an error with a known 'kind' and a 'message'");
  const ControlEvent no_code{"exited",
                             Json::object().set("machine", "n1").set("exit_code", Json::integer(256))};
  BOOST_TEST(exited_of(no_code).error().message == "control reply: expected an 'exit_code' of 0 to 255");
  const ControlEvent no_data{"output", Json::object().set("machine", "n1").set("stream", "stdout")};
  BOOST_TEST(output_of(no_data).error().message == "control reply: expected a string 'data_base64'");
}

BOOST_AUTO_TEST_CASE(base64_is_strict) {
  BOOST_TEST(to_base64("hi\n") == "aGkK");
  BOOST_TEST(to_base64("").empty());
  BOOST_TEST(from_base64("aGk=").value() == "hi");
  BOOST_TEST(from_base64("").value().empty());
  for (std::string_view bad : {"aGk", "aG k", "aGk=\n", "====", "a", "aGk==", "aGl="})
    BOOST_TEST(!from_base64(bad), bad);
}

BOOST_AUTO_TEST_SUITE_END()
