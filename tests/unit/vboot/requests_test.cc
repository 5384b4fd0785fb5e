#include "vboot/control/requests.h"

#include <boost/test/unit_test.hpp>

using namespace rookery;
using namespace rookery::vboot;

namespace {
std::string why(std::string_view text) {
  auto request = parse_request(Json::parse(text).value());
  BOOST_REQUIRE_MESSAGE(!request, text);
  BOOST_TEST((request.error().kind == ErrorKind::usage));
  return request.error().message;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(requests_suite)

BOOST_AUTO_TEST_CASE(every_request_reads_back_as_it_was) {
  const RequestBody bodies[] = {
      PsRequest{},
      ExecRequest{{false, {"n1", "n2"}}, {"sh", "-c", "echo 'ä' \n"}, std::chrono::milliseconds(1500)},
      ExecRequest{{true, {}}, {"true"}, std::nullopt},
      PowerRequest{PowerAction::reset, {false, {"n7"}}},
      DownRequest{},
      ConsoleRequest{"n7", true},
      InputRequest{"n7", std::string("\0\xff\n", 3)},
      WaitRequest{std::chrono::seconds(60)},
      WaitRequest{},
      WhyRequest{},
      WhyRequest{"n7"},
      WhyRequest{"02:11:22:33:44:5f"},
      CaptureRequest{{true, {}}, "/tmp/all.pcapng", std::nullopt},
      CaptureRequest{{false, {"n7"}}, "n7.pcapng", std::chrono::seconds(10), true},
      ReportRequest{"/tmp/run.html"},
      StreamRequest{"n7", 80, {}},
      StreamRequest{"n7", 0, {"tar", "-x"}},
      SnapshotRequest{SnapshotAction::take, "n7", "before"},
      SnapshotRequest{SnapshotAction::restore, "n7", "before"},
  };
  std::int64_t id = 0;
  for (const RequestBody& body : bodies) {
    const ControlRequest request{++id, body};
    const auto again = parse_request(to_json(request));
    BOOST_REQUIRE_MESSAGE(again, to_json(request).dump());
    BOOST_TEST((*again == request), to_json(request).dump());
  }
}

BOOST_AUTO_TEST_CASE(a_stream_leads_to_a_port_or_a_program) {
  const char* const either = "stream: expected either a 'port' or an 'argv'";
  BOOST_TEST(why(R"({"id":1,"verb":"stream","machine":"n7"})") == either);
  BOOST_TEST(why(R"({"id":1,"verb":"stream","machine":"n7","port":80,"argv":["cat"]})") == either);
  BOOST_TEST(why(R"({"id":1,"verb":"stream","machine":"n7","port":65536})") ==
             "stream: expected a 'port' of 1 to 65535, found integer");
}

BOOST_AUTO_TEST_CASE(writes_the_wire_form_that_scripts_see) {
  BOOST_TEST(to_json({1, ExecRequest{{false, {"n7"}}, {"uname", "-r"}, std::nullopt}}).dump() ==
             R"({"id":1,"verb":"exec","machines":["n7"],"argv":["uname","-r"]})");
  BOOST_TEST(to_json({2, PowerRequest{PowerAction::cut, {true, {}}}}).dump() ==
             R"({"id":2,"verb":"power","action":"cut","all":true})");
}

BOOST_AUTO_TEST_CASE(never_rounds_a_timeout_down_to_none) {
  BOOST_TEST(to_json({1, WaitRequest{Duration(1)}}).dump() == R"({"id":1,"verb":"wait","timeout_ms":1})");
}

BOOST_AUTO_TEST_CASE(names_the_nearest_verb_action_and_key) {
  BOOST_TEST(why(R"({"id":1,"verb":"powr"})") == "unknown verb 'powr'; did you mean 'power'?");
  BOOST_TEST(
      why(R"({"id":1,"verb":"frobnicate"})") ==
      "unknown verb 'frobnicate'; verbs are: stream, ps, exec, power, down, console, input, wait, fault, "
      "why, capture, report, snapshot");
  BOOST_TEST(why(R"({"id":1,"verb":"capture","all":true,"file":""})") ==
             "capture: expected a name in 'file'");
  BOOST_TEST(why(R"({"id":1,"verb":"report","file":"run.html"})") ==
             "report: expected an absolute path in 'file'");
  BOOST_TEST(why(R"({"id":1,"verb":"power","action":"off","all":true})") ==
             "power: unknown action 'off'; actions are: on, cut, reset, press");
  BOOST_TEST(why(R"({"id":1,"verb":"power","action":"rset","all":true})") ==
             "power: unknown action 'rset'; did you mean 'reset'?");
  BOOST_TEST(why(R"({"id":1,"verb":"exec","machine":["n7"],"argv":["x"]})") ==
             "exec: unknown key 'machine'; did you mean 'machines'?");
  BOOST_TEST(why(R"({"id":1,"verb":"down","force":true})") ==
             "down: unknown key 'force'; known keys are: id, verb");
}

BOOST_AUTO_TEST_CASE(needs_an_id_and_a_verb) {
  BOOST_TEST(why("[]") == "expected a request, an object");
  BOOST_TEST(why("{}") == "expected an 'id', an integer of 1 or more");
  BOOST_TEST(why(R"({"id":0,"verb":"ps"})") == "expected an 'id', an integer of 1 or more");
  BOOST_TEST(why(R"({"id":"1","verb":"ps"})") == "expected an 'id', an integer of 1 or more");
  BOOST_TEST(why(R"({"id":1,"verb":7})") == "expected a string 'verb'");
}

BOOST_AUTO_TEST_CASE(needs_either_machines_or_all) {
  constexpr std::string_view kEither = R"(expected either machines, as in "machines":["n7"], or "all":true)";
  BOOST_TEST(why(R"({"id":1,"verb":"exec","argv":["x"]})").ends_with(kEither));
  BOOST_TEST(why(R"({"id":1,"verb":"exec","argv":["x"],"all":false})").ends_with(kEither));
  BOOST_TEST(why(R"({"id":1,"verb":"exec","argv":["x"],"all":true,"machines":["n1"]})").ends_with(kEither));
  BOOST_TEST(why(R"({"id":1,"verb":"exec","argv":["x"],"machines":[]})").find("array 'machines'") !=
             std::string::npos);
  BOOST_TEST(why(R"({"id":1,"verb":"exec","argv":["x"],"machines":["../n1"]})") ==
             "exec: expected a machine's name in 'machines', found '../n1'");
}

BOOST_AUTO_TEST_CASE(refuses_values_of_another_kind) {
  BOOST_TEST(
      why(R"({"id":1,"verb":"exec","all":1,"argv":["x"]})").find("true or false in 'all', found integer") !=
      std::string::npos);
  BOOST_TEST(why(R"({"id":1,"verb":"exec","all":true,"argv":"ls"})") ==
             "exec: expected an array 'argv' of 1 to 1024 strings, found string");
  BOOST_TEST(why(R"({"id":1,"verb":"exec","all":true,"argv":["ls",1]})") ==
             "exec: expected only strings in 'argv'");
  BOOST_TEST(why(R"({"id":1,"verb":"exec","all":true,"argv":[""]})") ==
             "exec: the program's name in 'argv' is empty");
  BOOST_TEST(why(R"({"id":1,"verb":"console"})") == "console: expected a string 'machine'");
  BOOST_TEST(why(R"({"id":1,"verb":"input","machine":"n1","data_base64":"?"})") ==
             "input: expected base64 in 'data_base64'");
  BOOST_TEST(why(R"({"id":1,"verb":"wait","timeout_ms":0})") ==
             "wait: expected 'timeout_ms' of 1 to 86400000, found integer");
}

BOOST_AUTO_TEST_CASE(carries_the_words_of_a_fault) {
  for (const ControlRequest& request :
       {ControlRequest{1, FaultRequest{FaultAction::set, {"n5", "loss=10%", "match=udp port 69"}}},
        ControlRequest{2, FaultRequest{FaultAction::clear, {"n5.loss", "n6"}}},
        ControlRequest{3, FaultRequest{FaultAction::show, {}}}}) {
    const auto read = parse_request(to_json(request));
    BOOST_REQUIRE_MESSAGE(read, read.error().message);
    BOOST_TEST((*read == request));
  }
  BOOST_TEST(why(R"({"id":1,"verb":"fault","action":"sit","words":["n5"]})") ==
             "fault: unknown action 'sit'; did you mean 'set'?");
  BOOST_TEST(why(R"({"id":1,"verb":"fault","action":"set"})").find("array 'words' of 1 to 64") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(bounds_arguments_machines_and_input) {
  auto exec = [](std::vector<std::string> machines, std::vector<std::string> argv) {
    return parse_request(to_json({1, ExecRequest{{false, std::move(machines)}, std::move(argv), {}}}));
  };
  BOOST_TEST(exec({"n1"}, std::vector<std::string>(1024, "x")).has_value());
  BOOST_TEST(!exec({"n1"}, std::vector<std::string>(1025, "x")));
  BOOST_TEST(exec({"n1"}, {std::string((128 << 10) - 1, 'x')}).has_value());
  BOOST_TEST(!exec({"n1"}, {std::string(128 << 10, 'x')}));
  BOOST_TEST(exec(std::vector<std::string>(4096, "n1"), {"x"}).has_value());
  BOOST_TEST(!exec(std::vector<std::string>(4097, "n1"), {"x"}));
  BOOST_TEST(parse_request(to_json({1, InputRequest{"n1", std::string(64 << 10, 'x')}})).has_value());
  BOOST_TEST(!parse_request(to_json({1, InputRequest{"n1", std::string((64 << 10) + 1, 'x')}})));
}

BOOST_AUTO_TEST_SUITE_END()
