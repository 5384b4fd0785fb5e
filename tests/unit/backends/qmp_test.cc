// libqmp against a recorded QEMU and against scripted peers that split, flood, truncate, lie and die.
#include <qmp/qmp.h>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <iterator>
#include <vector>

namespace {

using namespace std::chrono_literals;
using qmp::Failure;

constexpr const char* kGreeting =
    R"({"QMP":{"version":{"qemu":{"micro":22,"minor":2,"major":7},"package":"p"},"capabilities":["oob"]}})"
    "\r\n";
constexpr const char* kAgreed = "{\"return\":{},\"id\":0}\r\n";

// A client with a record of all that it said.
struct Talk {
  std::vector<std::string> said;  // by the client: "ready", "event X", "ended: …", "1: …" for a reply
  qmp::Client client;

  explicit Talk(qmp::Limits limits = {})
      : client({[this](const qmp::Greeting& g) { said.push_back("ready " + std::to_string(g.major)); },
                [this](const qmp::Event& event) { said.push_back("event " + event.name); },
                [this](const std::string& reason) { said.push_back("ended: " + reason); }},
               0s, 10s, limits) {}

  void greet() {
    client.receive(kGreeting, 0s);
    client.receive(kAgreed, 0s);
    said.clear();
    client.take_output();
  }
  void ask(const std::string& name, std::chrono::seconds now = 0s, bool out_of_band = false) {
    client.execute({name, {}, 10s, out_of_band}, now, [this, name](const qmp::Reply& reply) {
      if (const auto* value = std::get_if<qmp::Value>(&reply)) {
        said.push_back(name + ": " + value->dump());
      } else {
        said.push_back(name + " failed: " + std::get<Failure>(reply).message);
      }
    });
  }
};

using Words = std::vector<std::string>;

std::string recorded_session() {
  std::ifstream in("tests/unit/backends/qmp_sessions/qemu-7.2", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

const Words kSession{"ready 7",
                     "query-status: {\"status\":\"prelaunch\",\"singlestep\":false,\"running\":false}",
                     "event RESUME",
                     "cont: {}",
                     "no-such-command failed: The command no-such-command has not been found",
                     "event STOP",
                     "stop: {}",
                     "migrate-pause failed: migrate-pause is currently only supported during postcopy-active "
                     "state",
                     "event RESUME",
                     "cont: {}",
                     "event RESET",
                     "system_reset: {}",
                     "event SHUTDOWN",
                     "quit: {}"};

// The commands of that session. The first block of its answers comes to a client that has not said them yet:
// all of them are given at once here, and go out as they may.
void ask_all(Talk& talk) {
  for (const char* name : {"query-status", "cont", "no-such-command", "stop"}) talk.ask(name);
  talk.ask("migrate-pause", 0s, true);
  for (const char* name : {"cont", "system_reset", "quit"}) talk.ask(name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(qmp_client)

BOOST_DATA_TEST_CASE(understands_a_recorded_qemu_however_its_bytes_are_split,
                     boost::unit_test::data::make({1u, 2u, 7u, 64u, 1000u, 1'000'000u}), step) {
  const std::string session = recorded_session();
  BOOST_REQUIRE(!session.empty());
  Talk talk;
  ask_all(talk);
  for (std::size_t at = 0; at < session.size(); at += step)
    talk.client.receive(std::string_view(session).substr(at, step), 0s);
  BOOST_TEST(talk.said == kSession, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_session_that_is_cut_anywhere_ends_with_every_command_answered_once) {
  const std::string session = recorded_session();
  for (std::size_t length = 0; length < session.size(); ++length) {
    Talk talk;
    ask_all(talk);
    talk.client.receive(std::string_view(session).substr(0, length), 0s);
    talk.client.lost("the peer is gone");
    std::size_t answers = 0;
    for (const std::string& words : talk.said) answers += words.find(": ") != std::string::npos;
    BOOST_TEST(answers == 9u);  // eight commands, and the end
    BOOST_TEST(talk.said.back() == "ended: the peer is gone");
  }
}

BOOST_AUTO_TEST_CASE(negotiates_before_it_says_anything_else) {
  Talk talk;
  talk.ask("stop");
  BOOST_TEST(!talk.client.has_output());
  talk.client.receive(kGreeting, 0s);
  BOOST_TEST(talk.client.take_output() ==
             "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]},\"id\":0}\r\n");
  BOOST_TEST(!talk.client.ready());
  talk.client.receive(kAgreed, 0s);
  BOOST_TEST(talk.client.ready());
  BOOST_TEST(talk.client.take_output() == "{\"execute\":\"stop\",\"id\":1}\r\n");
}

BOOST_AUTO_TEST_CASE(an_out_of_band_command_overtakes_what_waits) {
  Talk talk;
  talk.greet();
  for (int i = 0; i < 10; ++i) talk.ask("cont");
  talk.ask("yank", 0s, true);
  const std::string sent = talk.client.take_output();
  BOOST_TEST(sent.find("\"id\":7") != std::string::npos);
  BOOST_TEST(sent.find("\"id\":8") == std::string::npos);  // beyond what QEMU queues
  BOOST_TEST(sent.find("{\"exec-oob\":\"yank\",\"id\":11}") != std::string::npos);
  talk.client.receive("{\"return\":{},\"id\":11}{\"return\":{},\"id\":1}", 0s);
  BOOST_TEST(talk.said == (Words{"yank: {}", "cont: {}"}));
  BOOST_TEST(talk.client.take_output() == "{\"execute\":\"cont\",\"id\":8}\r\n");
}

BOOST_AUTO_TEST_CASE(a_peer_without_out_of_band_commands_is_not_given_any) {
  Talk talk;
  talk.ask("yank", 0s, true);
  talk.client.receive(R"({"QMP":{"version":{},"capabilities":[]}})", 0s);
  BOOST_TEST(talk.client.take_output() == "{\"execute\":\"qmp_capabilities\",\"id\":0}\r\n");
  talk.client.receive(kAgreed, 0s);
  talk.ask("yank", 0s, true);
  const std::string refusal = "yank failed: the peer takes no out-of-band commands";
  BOOST_TEST(talk.said == (Words{"ready 0", refusal, refusal}));
  BOOST_TEST(!talk.client.has_output());
}

BOOST_AUTO_TEST_CASE(a_silent_peer_times_out_at_each_step) {
  Talk talk;
  BOOST_TEST((talk.client.deadline() == qmp::Client::Time(10s)));
  talk.client.expire(9s);
  BOOST_TEST(talk.said.empty());
  talk.client.expire(10s);
  BOOST_TEST(talk.said == Words{"ended: the peer did not greet in time"});
  BOOST_TEST(!talk.client.deadline().has_value());

  Talk second;
  second.client.receive(kGreeting, 5s);
  second.client.expire(15s);
  BOOST_TEST(second.said == Words{"ended: the peer did not agree on its capabilities in time"});

  Talk third;
  third.greet();
  third.ask("stop", 20s);
  third.ask("cont", 22s);
  BOOST_TEST((third.client.deadline() == qmp::Client::Time(30s)));
  third.client.expire(30s);
  BOOST_TEST((third.client.deadline() == qmp::Client::Time(32s)));
  third.client.receive("{\"return\":{},\"id\":1}{\"return\":{},\"id\":2}", 31s);  // the late one is dropped
  BOOST_TEST(third.said == (Words{"stop failed: no answer in time", "cont: {}"}));
}

BOOST_AUTO_TEST_CASE(a_peer_that_lies_is_left_with_a_reason) {
  const auto lie = [](const std::string& bytes, bool greeted = true) {
    Talk talk;
    if (greeted) talk.greet();
    talk.client.receive(bytes, 0s);
    return talk.client.fault();
  };
  BOOST_TEST(lie("{\"return\":{},\"id\":0}", false) == "the peer did not greet first");
  BOOST_TEST(lie(kGreeting) == "the peer greets twice");
  BOOST_TEST(lie("{\"return\":{},\"id\":1}") == "the peer answers a command that it was not given");
  BOOST_TEST(lie("{\"return\":{},\"id\":-1}") == "not a QMP message: {\"return\":{},\"id\":-1}");
  BOOST_TEST(lie("{\"return\":{}}") == "not a QMP message: {\"return\":{}}");
  BOOST_TEST(lie("{}") == "not a QMP message: {}");
  BOOST_TEST(lie("{\"error\":{\"class\":\"GenericError\",\"desc\":\"JSON parse error\"}}") ==
             "the peer could not read a command: JSON parse error");
  BOOST_TEST(lie("SSH-2.0-x\r\n", false) == "not QMP: SSH-2.0-x??");
  BOOST_TEST(lie("[1]") == "not QMP: [1]");
  BOOST_TEST(lie("{\"return\" 1}").find("not JSON (") == 0u);
  BOOST_TEST(lie(std::string("{\0}", 3)) == "not JSON: a NUL");
  BOOST_TEST(lie("{\"event\":\"\xff\"}").find("not JSON (") == 0u);
  std::string deep = "{\"event\":\"X\",\"data\":";
  deep.append(100, '[');
  BOOST_TEST(lie(deep).find("not JSON (nesting too deep)") == 0u);
  BOOST_TEST(lie(std::string(kGreeting) + "{\"error\":{\"class\":\"C\",\"desc\":\"no\"},\"id\":0}", false) ==
             "the peer does not agree on its capabilities: no");
}

BOOST_AUTO_TEST_CASE(a_message_without_end_is_refused_at_the_limit) {
  Talk talk(qmp::Limits{.message = 1000, .commands = 4});
  talk.greet();
  talk.client.receive("{\"event\":\"", 0s);
  for (int i = 0; i < 98; ++i) talk.client.receive("0123456789", 0s);
  BOOST_TEST(talk.client.fault().empty());
  talk.client.receive("0123456789", 0s);
  BOOST_TEST(talk.client.fault() == "a message of more than 1000 bytes");
}

BOOST_AUTO_TEST_CASE(a_flood_of_events_is_told_one_by_one_and_hides_no_answer) {
  Talk talk;
  talk.greet();
  talk.ask("stop");
  std::string flood;
  for (int i = 0; i < 10'000; ++i) flood += "{\"event\":\"RTC_CHANGE\",\"data\":{\"offset\":1}}\r\n";
  talk.client.receive(flood + "{\"return\":{},\"id\":1}\r\n", 0s);
  BOOST_TEST(talk.said.size() == 10'001u);
  BOOST_TEST(talk.said.back() == "stop: {}");
}

BOOST_AUTO_TEST_CASE(commands_have_a_limit_and_are_refused_after_the_end) {
  Talk talk(qmp::Limits{.message = 1000, .commands = 2});
  talk.greet();
  talk.ask(std::string(1000, 'x'));
  BOOST_TEST(talk.said.back().ends_with("failed: the command is too long"));
  for (int i = 0; i < 3; ++i) talk.ask("stop");
  BOOST_TEST(talk.said.back() == "stop failed: too many commands are waiting for their answers");
  talk.client.lost("gone");
  talk.ask("cont");
  BOOST_TEST(talk.said.back() == "cont failed: gone");
}

BOOST_AUTO_TEST_CASE(a_command_can_be_given_from_within_any_callback) {
  Talk talk;
  talk.greet();
  talk.client.execute({"stop", {}}, 0s, [&](const qmp::Reply&) { talk.ask("cont"); });
  talk.client.receive("{\"return\":{},\"id\":1}", 0s);
  BOOST_TEST(talk.client.take_output().find("\"cont\",\"id\":2") != std::string::npos);
  talk.client.execute({"stop", {}}, 0s, [&](const qmp::Reply&) { talk.ask("again"); });
  talk.client.lost("gone");
  BOOST_TEST(talk.said == (Words{"cont failed: gone", "again failed: gone", "ended: gone"}));
}

BOOST_AUTO_TEST_CASE(an_event_carries_its_time_if_the_peer_has_a_clock) {
  const auto time_of = [](const char* stamp) {
    qmp::Decoder decoder;
    decoder.feed(std::string("{\"event\":\"STOP\",\"timestamp\":") + stamp + "}");
    return std::get<qmp::Event>(*decoder.next()).time;
  };
  BOOST_TEST((time_of("{\"seconds\":2,\"microseconds\":5}") == std::chrono::microseconds(2'000'005)));
  BOOST_TEST(!time_of("{\"seconds\":-1,\"microseconds\":-1}").has_value());
  BOOST_TEST(!time_of("{\"seconds\":9223372036854775807,\"microseconds\":0}").has_value());
  BOOST_TEST(!time_of("7").has_value());
}

BOOST_AUTO_TEST_CASE(a_value_reads_back_as_it_was_made) {
  const auto value = qmp::Value::object()
                         .set("name", qmp::Value::string("net/0"))
                         .set("list", qmp::Value::array().add(qmp::Value::integer(-3)))
                         .set("yes", qmp::Value::boolean(true));
  BOOST_TEST(value.dump() == R"({"name":"net/0","list":[-3],"yes":true})");
  const auto parsed = qmp::Value::parse(value.dump());
  BOOST_REQUIRE(parsed.has_value());
  BOOST_TEST(parsed->find("list").at(0).as_integer().value() == -3);
  BOOST_TEST(parsed->find("list").at(1).is_null());
  BOOST_TEST(parsed->find("name").as_string().value() == "net/0");
  BOOST_TEST(parsed->find("yes").as_boolean().value());
  BOOST_TEST(!qmp::Value::parse("{} {}").has_value());
  BOOST_TEST(!qmp::Value::parse("{").has_value());
  BOOST_TEST(qmp::Value::parse("12")->as_integer().value() == 12);
}

BOOST_AUTO_TEST_SUITE_END()
