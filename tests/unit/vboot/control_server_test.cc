#include "vboot/run/control/control_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <span>

#include "base/loop/turn_budget.h"
#include "base/unix_socket.h"
#include "tests/support/fake_lab.h"

namespace rookery::vboot {
namespace {

// A running lab of fakes that commands can talk to.
struct Bench {
  FakeLab fakes;
  std::unique_ptr<ControlServer> server;
  std::function<void(const Status&)> report_written;

  Bench() : fakes(kTwo, {}, SessionTime::wall) {
    ControlServer::Hooks hooks;
    hooks.write_report = [this](const std::string&, std::function<void(const Status&)> done) {
      report_written = std::move(done);
    };
    hooks.report = [] { return Json::object().set("settled", Json::boolean(true)); };
    hooks.ps = [] { return Json::object().set("text", std::string(kMessageMost.count * 3, 'x')); };
    auto made = ControlServer::listen(fakes.loop, socket(), *fakes.lab, std::move(hooks));
    BOOST_REQUIRE(made.has_value());
    server = std::move(*made);
    BOOST_REQUIRE(fakes.lab->start().has_value());
  }
  std::filesystem::path socket() const { return fakes.folder.path() / "control.sock"; }
};

// A file that a capture goes to, opened once.
struct Folder {
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  UniqueFd file{::open((folder.path() / "f").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
};

// A command's end of a connection.
struct Caller {
  Bench& bench;
  UniqueFd fd = connect_unix(bench.socket()).value();
  MessageReader reader{kReplyMost};

  void say(const std::string& line) const {
    const std::string text = line + "\n";
    BOOST_REQUIRE_EQUAL(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), ssize_t(text.size()));
  }
  // With a descriptor, as one who has a capture written has.
  void say(const std::string& line, int file) const {
    const std::string text = line + "\n";
    BOOST_REQUIRE(send_with_files(fd.get(), as_bytes(text), std::span(&file, 1)));
  }
  void say_no_more() const { ::shutdown(fd.get(), SHUT_WR); }
  Json hear() {
    std::optional<Json> heard;
    const auto look = [&] {
      // All that is there: only an empty socket lets the server's end become writable again.
      std::array<std::uint8_t, 65536> block;
      for (ssize_t got; (got = ::recv(fd.get(), block.data(), block.size(), MSG_DONTWAIT)) > 0;)
        reader.feed(ByteView(block).first(static_cast<std::size_t>(got)));
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

BOOST_AUTO_TEST_CASE(one_who_asks_much_at_once_is_answered_over_several_turns) {
  Bench bench;
  Caller caller{bench};
  std::string all;
  constexpr unsigned kQuestions = 1000;
  for (unsigned i = 1; i <= kQuestions; ++i) all += fmt::format("{{\"id\":{},\"verb\":\"nothing\"}}\n", i);
  all.pop_back();
  caller.say(all);
  const std::uint64_t before = bench.fakes.loop.turns();
  for (unsigned i = 1; i <= kQuestions; ++i) (void)caller.hear();
  BOOST_TEST(bench.fakes.loop.turns() - before >= kQuestions / static_cast<unsigned>(TurnShare().requests));
}

BOOST_AUTO_TEST_CASE(machines_are_named_by_patterns_lists_and_ranges) {
  Bench bench;
  Caller caller{bench};
  const auto told = [&](const std::string& machines) {
    caller.say(R"({"id":1,"verb":"exec","argv":["true"],"machines":)" + machines + "}");
    std::string who;
    for (;;) {
      const Json message = caller.hear();
      if (const auto error = message.find("error")) return text_of(*error, "message");
      if (message.find("result")) return who;
      who += text_of(message, "machine") + " ";
    }
  };
  BOOST_TEST(told(R"(["n[1-2]"])") == "n1 n2 ");
  BOOST_TEST(told(R"(["n*","server"])") == "n1 n2 server ");
  BOOST_TEST(told(R"(["n2,n1","n?"])") == "n2 n1 ");
  BOOST_TEST(told(R"(["n[1-3]"])") == "no machine 'n3' in the lab test; did you mean 'n1'?");
  BOOST_TEST(told(R"(["x*"])") == "no machine 'x*' in the lab test");
  BOOST_TEST(told(R"(["n[1"])").ends_with("a bracket that is not closed, or closes nothing"));
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

BOOST_AUTO_TEST_CASE(the_state_of_a_large_lab_is_one_answer) {
  Bench bench;
  Caller caller{bench};
  caller.say(R"({"id":1,"verb":"ps"})");
  BOOST_TEST(text_of(*caller.hear().find("result"), "text").size() == kMessageMost.count * 3);
}

BOOST_AUTO_TEST_CASE(a_connection_too_many_is_told_so_and_is_served_when_another_has_ended) {
  Bench bench;
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 64; ++i) {
    callers.emplace_back(new Caller{bench});
    callers.back()->say(R"({"id":1,"verb":"console","machine":"server","follow":true})");
    callers.back()->say(R"({"id":2,"verb":"console","machine":"nobody"})");
    BOOST_TEST(callers.back()->hear_error() == "usage: no machine 'nobody' in the lab test");
  }
  Caller refused{bench};
  BOOST_TEST(
      refused.hear_error() ==
      "infrastructure: the lab serves 64 commands already, and no more at once: end one of them (logs -f, "
      "console, capture, exec), or try again");
  callers.pop_back();
  // Who is answered now was heard after that end.
  callers.back()->say(R"({"id":2,"verb":"console","machine":"nobody"})");
  BOOST_TEST(callers.back()->hear_error() == "usage: no machine 'nobody' in the lab test");
  Caller served{bench};
  served.say(R"({"id":2,"verb":"console","machine":"nobody"})");
  BOOST_TEST(served.hear_error() == "usage: no machine 'nobody' in the lab test");
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
  BOOST_TEST(caller.hear_error() == "usage: no machine 'n9' in the lab test; did you mean 'n1'?");
}

BOOST_AUTO_TEST_CASE(a_capture_goes_to_the_descriptor_that_came_along_until_the_asker_says_no_more) {
  Bench bench;
  Caller caller{bench};
  int ends[2];
  BOOST_REQUIRE_EQUAL(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  caller.say(R"({"id":1,"verb":"capture","machines":["n1"],"file":"standard output"})", writer.get());
  writer.reset();
  BOOST_TEST(caller.hear().dump() == R"({"id":1,"event":"capturing","file":"standard output"})");
  Caller other{bench};
  other.say(R"({"id":1,"verb":"capture","machines":["n1"],"file":"x"})", 2);
  BOOST_TEST(other.hear_error() == "usage: n1 is being captured already, to another file");
  caller.say_no_more();
  BOOST_TEST(caller.hear().dump() == R"({"id":1,"result":{"frames":0,"frames_left_out":0}})");
  std::array<std::uint8_t, 4> magic{};
  BOOST_TEST(::read(reader.get(), magic.data(), magic.size()) == 4);
  BOOST_TEST(ByteReader(magic).le32() == 0x0A0D0D0AU);
}

BOOST_AUTO_TEST_CASE(a_capture_whose_asker_is_gone_ends_and_another_may_begin) {
  Bench bench;
  Folder place;
  for (int i = 0; i < 2; ++i) {
    Caller caller{bench};
    caller.say(R"({"id":1,"verb":"capture","all":true,"file":"f","replace":true})", place.file.get());
    BOOST_TEST(text_of(caller.hear(), "event") == "capturing");
    caller.fd.reset();
    BOOST_REQUIRE(bench.fakes.loop.run_until([&] { return !bench.fakes.lab->find("n1")->is_captured(); },
                                             std::chrono::seconds(20)));
    // Another open file: the first may be written for a moment yet.
    place = Folder();
  }
}

BOOST_AUTO_TEST_CASE(two_captures_into_one_open_file_are_refused_and_the_first_goes_on) {
  Bench bench;
  Folder place;
  Caller caller{bench};
  caller.say(R"({"id":1,"verb":"capture","machines":["n1"],"file":"one"})", place.file.get());
  BOOST_TEST(text_of(caller.hear(), "event") == "capturing");
  caller.say(R"({"id":2,"verb":"capture","machines":["n2"],"file":"two"})", place.file.get());
  BOOST_TEST(caller.hear_error() ==
             "usage: the capture two is being written already, by another capture of this lab: one");
  caller.say(R"({"id":3,"verb":"capture","machines":["n2"],"file":"three"})");
  BOOST_TEST(caller.hear_error() ==
             "usage: a capture wants a descriptor to write to, which comes with the request");
  caller.say_no_more();
  BOOST_TEST(text_of(caller.hear(), "event") == "");
}

BOOST_AUTO_TEST_CASE(a_capture_ends_at_its_time_by_its_reader_or_with_an_error_that_names_the_file) {
  Bench bench;
  Caller caller{bench};
  Folder place;
  caller.say(R"({"id":1,"verb":"capture","machines":["n1"],"file":"f","timeout_ms":1})", place.file.get());
  BOOST_TEST(text_of(caller.hear(), "event") == "capturing");
  BOOST_TEST(caller.hear().dump() == R"({"id":1,"result":{"frames":0,"frames_left_out":0}})");

  int ends[2];
  BOOST_REQUIRE_EQUAL(::pipe2(ends, O_CLOEXEC), 0);
  ::close(ends[0]);
  const UniqueFd left(ends[1]);
  caller.say(R"({"id":2,"verb":"capture","machines":["n1"],"file":"p"})", left.get());
  BOOST_TEST(text_of(caller.hear(), "event") == "capturing");
  BOOST_TEST(caller.hear().dump() ==
             R"({"id":2,"result":{"frames":0,"frames_left_out":0,"why":"its reader has left"}})");

  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  caller.say(R"({"id":3,"verb":"capture","machines":["n1"],"file":"/dev/full"})", full.get());
  BOOST_TEST(text_of(caller.hear(), "event") == "capturing");
  BOOST_TEST(
      caller.hear_error() ==
      "infrastructure: cannot write the capture /dev/full: No space left on device; 0 frames are in it, "
      "0 are not");
}

BOOST_AUTO_TEST_CASE(who_brings_descriptors_that_nobody_wants_is_let_go) {
  Bench bench;
  Caller caller{bench};
  for (int i = 0; i < 9; ++i) caller.say(R"({"id":1,"verb":"why","machine":"n9"})", 2);
  std::array<std::uint8_t, 65536> answers;
  const auto is_let_go = [&] {
    ssize_t got;
    while ((got = ::recv(caller.fd.get(), answers.data(), answers.size(), MSG_DONTWAIT)) > 0) {
    }
    return got == 0 || errno != EAGAIN;
  };
  BOOST_REQUIRE(bench.fakes.loop.run_until(is_let_go, std::chrono::seconds(20)));
}

BOOST_AUTO_TEST_CASE(a_report_that_takes_its_time_holds_nobody_up) {
  Bench bench;
  Caller caller{bench}, other{bench};
  caller.say(R"({"id":1,"verb":"report","file":"/run.html"})");
  other.say(R"({"id":1,"verb":"console","machine":"n1"})");
  BOOST_TEST(other.hear().dump() == R"({"id":1,"result":{"dropped_bytes":0}})");
  BOOST_REQUIRE(bench.report_written != nullptr);
  bench.report_written({});
  BOOST_TEST(caller.hear().dump() == R"({"id":1,"result":{"file":"/run.html"}})");
}

BOOST_AUTO_TEST_CASE(who_waits_is_answered_when_all_that_is_reported_is_known) {
  Bench bench;
  Caller caller{bench};
  caller.say(R"({"id":1,"verb":"wait"})");
  caller.say(R"({"id":2,"verb":"console","machine":"n1"})");
  BOOST_TEST(caller.hear().find("id")->as_integer().value() == 2);
  bench.server->settled();
  BOOST_TEST(caller.hear().dump() == R"({"id":1,"result":{"settled":true}})");
  caller.say(R"({"id":3,"verb":"wait"})");
  BOOST_TEST(caller.hear().dump() == R"({"id":3,"result":{"settled":true}})");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
