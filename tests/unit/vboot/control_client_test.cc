#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <functional>
#include <thread>

#include "base/file.h"
#include "base/unix_socket.h"
#include "vboot/control/client.h"

using namespace rookery;
using namespace rookery::vboot;
namespace fs = std::filesystem;

namespace {

struct Runtime {
  TemporaryFolder folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-control-").value();
  fs::path lab(std::string_view name) {
    fs::create_directories(folder.path() / name);
    return control_socket_path(folder.path(), name);
  }
};

// Reads requests from one end of a connection and answers each with the lines that `answer` gives for it.
class Supervisor {
 public:
  using Answer = std::function<std::vector<Json>(const ControlRequest&)>;
  explicit Supervisor(Answer answer) {
    int ends[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    theirs_.reset(ends[0]);
    thread_ = std::thread([end = ends[1], answer = std::move(answer)] { serve(UniqueFd(end), answer); });
  }
  ~Supervisor() {
    theirs_.reset();
    thread_.join();
  }
  ControlClient client() { return ControlClient(UniqueFd(::dup(theirs_.get()))); }
  void hang_up() { ::shutdown(theirs_.get(), SHUT_RDWR); }

 private:
  static void serve(UniqueFd fd, const Answer& answer) {
    MessageReader reader;
    std::uint8_t bytes[4096];
    for (ssize_t got; (got = ::recv(fd.get(), bytes, sizeof bytes, 0)) > 0;) {
      reader.feed(ByteView(bytes, static_cast<std::size_t>(got)));
      while (auto message = reader.next()) {
        const std::vector<Json> lines = answer(parse_request(**message).value());
        if (lines.empty()) return;
        for (const Json& line : lines) {
          const std::string text = encode_message(line).value();
          if (::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) return;
        }
      }
    }
  }
  UniqueFd theirs_;
  std::thread thread_;
};

std::string why(const Result<Json>& result) {
  BOOST_REQUIRE(!result);
  return result.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(control_client_suite)

BOOST_AUTO_TEST_CASE(calls_and_gets_the_result) {
  Supervisor supervisor([](const ControlRequest& request) {
    return std::vector{event_message(request.id, "stage", Json::object()),
                       result_message(request.id, Json::integer(request.id))};
  });
  ControlClient client = supervisor.client();
  BOOST_TEST(client.call(PsRequest{}).value().dump() == "1");
  BOOST_TEST(client.call(PsRequest{}).value().dump() == "2");
}

BOOST_AUTO_TEST_CASE(streams_events_and_then_the_result) {
  Supervisor supervisor([](const ControlRequest& request) {
    return std::vector{to_json(request.id, OutputEvent{"n1", "stdout", "hi\n"}),
                       to_json(request.id + 7, OutputEvent{"n2", "stdout", "other"}),
                       to_json(request.id, ExitedEvent{"n1", 3}), result_message(request.id, Json::object())};
  });
  std::string seen;
  auto result = supervisor.client().stream(ExecRequest{{false, {"n1"}}, {"x"}, {}},
                                           [&](const ControlEvent& event) -> Status {
                                             if (auto output = output_of(event)) seen += output->data;
                                             if (auto exited = exited_of(event))
                                               seen += std::to_string(exited->exit_code);
                                             return {};
                                           });
  BOOST_REQUIRE(result);
  BOOST_TEST(seen == "hi\n3");
}

BOOST_AUTO_TEST_CASE(an_error_of_the_callback_ends_the_stream) {
  Supervisor supervisor([](const ControlRequest& request) {
    return std::vector{event_message(request.id, "stage", Json::object()),
                       result_message(request.id, Json())};
  });
  BOOST_TEST(why(supervisor.client().stream(
                 WaitRequest{}, [](const ControlEvent&) -> Status { return fail("enough"); })) == "enough");
}

BOOST_AUTO_TEST_CASE(hands_on_the_supervisors_error_with_its_kind) {
  Supervisor supervisor([](const ControlRequest& request) {
    return std::vector{error_message(request.id, Error{ErrorKind::expectation, "n7 is off"})};
  });
  const auto result = supervisor.client().call(DownRequest{});
  BOOST_TEST(why(result) == "n7 is off");
  BOOST_TEST((result.error().kind == ErrorKind::expectation));
}

BOOST_AUTO_TEST_CASE(takes_an_error_without_a_requests_id_as_its_own) {
  Supervisor supervisor([](const ControlRequest&) {
    return std::vector{error_message(0, Error{ErrorKind::usage, "what?"})};
  });
  BOOST_TEST(why(supervisor.client().call(PsRequest{})) == "what?");
}

BOOST_AUTO_TEST_CASE(says_so_when_the_supervisor_hangs_up_or_is_silent) {
  Supervisor dying([](const ControlRequest&) { return std::vector<Json>{}; });
  BOOST_TEST(why(dying.client().call(PsRequest{})) ==
             "the supervisor closed the connection before it had answered");

  int ends[2];
  BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  UniqueFd silent(ends[1]);
  const auto result = ControlClient(UniqueFd(ends[0])).call(PsRequest{}, std::chrono::milliseconds(1));
  BOOST_TEST(why(result) == "the supervisor does not answer");
  BOOST_TEST((result.error().kind == ErrorKind::timeout));
}

BOOST_AUTO_TEST_CASE(refuses_arguments_that_json_cannot_carry) {
  Supervisor supervisor(
      [](const ControlRequest& request) { return std::vector{result_message(request.id, Json())}; });
  BOOST_TEST(
      why(supervisor.client().call(ExecRequest{{true, {}}, {"echo", "\xff"}, {}})).find("is not UTF-8") !=
      std::string::npos);
}

BOOST_AUTO_TEST_CASE(finds_the_one_lab_that_runs) {
  Runtime runtime;
  BOOST_TEST(ControlClient::connect(runtime.folder.path() / "none", std::nullopt).error().message ==
             "no lab is running; 'rookery up <lab file>' starts one");
  BOOST_TEST(ControlClient::connect(runtime.folder.path(), "a").error().message ==
             "lab 'a' is not running, and no other is");
  UniqueFd classroom = listen_unix(runtime.lab("classroom")).value();
  BOOST_TEST(ControlClient::connect(runtime.folder.path(), std::nullopt).has_value());
  BOOST_TEST(ControlClient::connect(runtime.folder.path(), "classroom").has_value());
  BOOST_TEST(ControlClient::connect(runtime.folder.path(), "clasroom").error().message ==
             "lab 'clasroom' is not running; did you mean 'classroom'?");
  BOOST_TEST(ControlClient::connect(runtime.folder.path(), "../classroom").error().message ==
             "'../classroom' is not a valid name of a lab");
}

BOOST_AUTO_TEST_CASE(lists_the_labs_when_several_run_and_passes_over_dead_ones) {
  Runtime runtime;
  UniqueFd b = listen_unix(runtime.lab("b")).value(), a = listen_unix(runtime.lab("a")).value();
  { UniqueFd dead = listen_unix(runtime.lab("dead")).value(); }
  runtime.lab("empty");
  const auto refused = ControlClient::connect(runtime.folder.path(), std::nullopt);
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().kind == ErrorKind::usage));
  BOOST_TEST(refused.error().message == "2 labs are running: a, b; name one with --lab");
}

BOOST_AUTO_TEST_CASE(a_socket_is_for_its_owner_only_and_takes_the_place_of_a_dead_one) {
  Runtime runtime;
  const fs::path path = runtime.lab("x");
  UniqueFd first = listen_unix(path).value();
  struct stat status {};
  BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777) == 0600u);
  const auto second = listen_unix(path);
  BOOST_REQUIRE(!second);
  BOOST_TEST(second.error().message == path.string() + " is in use");
  first.reset();
  BOOST_TEST(listen_unix(path).has_value());
}

BOOST_AUTO_TEST_CASE(leaves_alone_what_is_no_socket) {
  Runtime runtime;
  const fs::path path = runtime.lab("x");
  BOOST_REQUIRE(write_file(path, "precious"));
  BOOST_TEST(!listen_unix(path));
  BOOST_TEST(read_file(path).value() == "precious");
}

BOOST_AUTO_TEST_CASE(goes_by_paths_longer_than_a_socket_address) {
  Runtime runtime;
  const fs::path path = runtime.lab(std::string(90, 'a') + "/" + std::string(90, 'b'));
  UniqueFd listening = listen_unix(path).value();
  BOOST_TEST(connect_unix(path).has_value());
  const auto too_long = listen_unix(path.parent_path() / std::string(100, 'c'));
  BOOST_REQUIRE(!too_long);
  BOOST_TEST(too_long.error().message.starts_with("the socket's file name is too long"));
}

BOOST_AUTO_TEST_SUITE_END()
