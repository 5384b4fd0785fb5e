#include "vboot/supervisor/control_server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>

#include "base/unix_socket.h"
#include "tests/support/fake_lab.h"

namespace rookery::vboot {
namespace {

// A running lab of fakes that commands can talk to.
struct Bench {
  FakeLab fakes;
  std::unique_ptr<ControlServer> server;

  Bench() : fakes(kTwo, {}, std::make_unique<WallPacer>()) {
    ControlServer::Hooks hooks;
    hooks.report = [] { return Json::object().set("settled", Json::boolean(true)); };
    auto made = ControlServer::listen(fakes.loop, socket(), *fakes.lab, std::move(hooks));
    BOOST_REQUIRE(made.has_value());
    server = std::move(*made);
    BOOST_REQUIRE(fakes.lab->start().has_value());
  }
  std::filesystem::path socket() const { return fakes.folder.path() / "control.sock"; }
};

// A command's end of a connection.
struct Caller {
  Bench& bench;
  UniqueFd fd = connect_unix(bench.socket()).value();
  MessageReader reader{};

  void say(const std::string& line) const {
    const std::string text = line + "\n";
    BOOST_REQUIRE_EQUAL(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), ssize_t(text.size()));
  }
  Json hear() {
    std::optional<Json> heard;
    const auto look = [&] {
      std::array<std::uint8_t, 65536> block;
      const ssize_t got = ::recv(fd.get(), block.data(), block.size(), MSG_DONTWAIT);
      if (got > 0) reader.feed(ByteView(block).first(static_cast<std::size_t>(got)));
      if (auto message = reader.next()) heard = std::move(message->value());
      return heard.has_value();
    };
    BOOST_REQUIRE(bench.fakes.loop.run_until(look, std::chrono::seconds(20)));
    return *heard;
  }
  // What an error says; otherwise the whole message.
  std::string hear_error() {
    const Json message = hear();
    const auto error = message.find("error");
    return error ? text_of(*error, "kind") + ": " + text_of(*error, "message") : message.dump();
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(control_server)

BOOST_AUTO_TEST_CASE(an_id_means_one_conversation_until_that_has_ended) {
  // What goes on under an id is ended with its connection: a second one of that id would go on without it.
  Bench bench;
  Caller caller{bench};
  for (const char* request :
       {R"({"id":1,"verb":"console","machine":"server","follow":true})", R"({"id":2,"verb":"wait"})"}) {
    caller.say(request);
    caller.say(request);
    BOOST_TEST(caller.hear_error() == "usage: this id is in use");
  }
  caller.fd.reset();
  Caller later{bench};
  later.say(R"({"id":1,"verb":"wait","timeout_ms":1})");
  BOOST_TEST(later.hear_error() == "timeout: not all clients are ready or have failed yet");
  bench.fakes.lab->find("server")->console().append("nobody follows this\n");
}

BOOST_AUTO_TEST_CASE(a_machine_named_twice_is_meant_once) {
  Bench bench;
  Caller caller{bench};
  caller.say(R"({"id":1,"verb":"exec","machines":["n1","n2","n1"],"argv":["true"]})");
  for (const char* machine : {"n1", "n2"}) {
    const Json told = caller.hear();
    BOOST_TEST(text_of(told, "event") == "unreachable");  // it is off
    BOOST_TEST(text_of(told, "machine") == machine);
  }
  BOOST_TEST(caller.hear().dump() == R"({"id":1,"result":{"machines":2,"failed":2}})");
}

BOOST_AUTO_TEST_CASE(a_machine_that_cannot_does_not_keep_the_others_from_it) {
  Bench bench;
  Caller caller{bench};
  caller.say(R"({"id":1,"verb":"power","action":"on","machines":["server","n1"]})");
  BOOST_TEST(caller.hear_error() == "usage: server is running already");
  BOOST_TEST((bench.fakes.lab->find("n1")->state() == backends::MachineState::running));
}

BOOST_AUTO_TEST_CASE(a_connection_has_so_many_conversations_and_no_more) {
  Bench bench;
  Caller caller{bench};
  for (int id = 1; id <= 257; ++id) caller.say(fmt::format(R"({{"id":{},"verb":"wait"}})", id));
  const Json refused = caller.hear();
  BOOST_TEST(refused.find("id")->as_integer().value() == 257);
  BOOST_TEST(text_of(*refused.find("error"), "message") == "too many requests of this connection go on");
}

BOOST_AUTO_TEST_CASE(who_waits_is_told_that_the_lab_goes_down) {
  Bench bench;
  Caller caller{bench};
  caller.say(R"({"id":1,"verb":"wait"})");
  caller.say(R"({"id":2,"verb":"console","machine":"n1","follow":true})");
  caller.say(R"({"id":3,"verb":"console","machine":"n1"})");
  BOOST_TEST(caller.hear().find("id")->as_integer().value() == 3);  // by then the others have been taken
  bench.server->leave_lab();
  BOOST_TEST(caller.hear_error() == "expectation: the lab is going down");
  BOOST_TEST(caller.hear().dump() == R"({"id":2,"result":{}})");
  caller.say(R"({"id":4,"verb":"wait"})");
  BOOST_TEST(caller.hear_error() == "expectation: the lab is going down");
}

BOOST_AUTO_TEST_CASE(what_is_no_request_is_refused_by_name_and_the_next_one_is_heard) {
  Bench bench;
  Caller caller{bench};
  caller.say("no JSON");
  BOOST_TEST(caller.hear_error().starts_with("usage: control message: JSON: "));
  caller.say(R"({"id":7,"verb":"pss"})");
  BOOST_TEST(caller.hear_error() == "usage: unknown verb 'pss'; did you mean 'ps'?");
  caller.say(R"({"id":8,"verb":"why","machine":"n9"})");
  BOOST_TEST(caller.hear_error() == "usage: no machine 'n9'");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
