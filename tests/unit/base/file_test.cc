#include "base/file.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <optional>

#include "base/command.h"
#include "base/unix_socket.h"

namespace rookery {

namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(file)

BOOST_AUTO_TEST_CASE(a_file_is_replaced_whole_with_the_mode_asked_for) {
  const auto folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-test-");
  BOOST_REQUIRE(folder.has_value());
  const fs::path path = folder->path() / "f";
  BOOST_REQUIRE(write_file(path, "one", 0600).has_value());
  BOOST_REQUIRE(write_file(path, "two", 0640).has_value());
  BOOST_TEST(read_file(path).value() == "two");
  struct stat status {};
  BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777) == 0640u);
  BOOST_TEST(std::distance(fs::directory_iterator(folder->path()), fs::directory_iterator()) == 1);
}

BOOST_AUTO_TEST_CASE(a_file_beyond_its_limit_is_an_error_and_not_cut) {
  const auto folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-test-");
  const fs::path path = folder->path() / "f";
  BOOST_REQUIRE(write_file(path, "12345").has_value());
  BOOST_TEST(read_file(path, Bytes{5}).has_value());
  BOOST_TEST(!read_file(path, Bytes{4}).has_value());
  BOOST_TEST(!read_file(folder->path() / "none").has_value());
}

BOOST_AUTO_TEST_CASE(a_temporary_folder_goes_with_its_object) {
  fs::path path;
  {
    const auto folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-test-");
    path = folder->path();
    BOOST_REQUIRE(write_file(path / "f", "x").has_value());
  }
  BOOST_TEST(!fs::exists(path));
}

// For the time of one object, a variable of the environment is another, or is not there.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

BOOST_AUTO_TEST_CASE(without_HOME_the_home_is_that_of_the_list_of_users) {
  const Variable cache("XDG_CACHE_HOME", nullptr);
  for (const char* home : {static_cast<const char*>(nullptr), "", "relative"}) {
    const Variable variable("HOME", home);
    BOOST_TEST(home_folder().value() == fs::path(::getpwuid(::getuid())->pw_dir));
    BOOST_TEST(cache_folder().value() == home_folder().value() / ".cache" / "rookery");
  }
  const Variable variable("HOME", "/nowhere");
  BOOST_TEST(home_folder().value() == "/nowhere");
  BOOST_TEST(cache_folder().value() == "/nowhere/.cache/rookery");
}

BOOST_AUTO_TEST_CASE(a_user_whom_nobody_knows_needs_a_home) {
  if (::geteuid() != 0) return;  // only root can be another user
  const Variable variable("HOME", nullptr), cache("XDG_CACHE_HOME", nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool refused = ::setuid(987'654) == 0 && !home_folder().has_value() &&
                         !cache_folder().has_value() &&
                         cache_folder().error().message.find("set HOME") != std::string::npos;
    ::_exit(refused ? 0 : 1);
  }
  int status = -1;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(a_folder_of_somebody_else_or_of_everybody_is_refused) {
  const auto folder = TemporaryFolder::make("rookery-test-");
  BOOST_REQUIRE(folder.has_value());
  const Variable cache("XDG_CACHE_HOME", folder->path().c_str());
  BOOST_TEST(cache_folder().has_value());  // it need not be there
  const fs::path own = folder->path() / "rookery";
  fs::create_directory(own);
  BOOST_TEST(cache_folder().has_value());
  BOOST_REQUIRE(::chmod(own.c_str(), 0777) == 0);
  BOOST_TEST(cache_folder().error().message.starts_with("everybody may write in " + own.string()));
  BOOST_REQUIRE(::chmod(own.c_str(), 0755) == 0);
  if (::geteuid() != 0) return;  // only root can make what is somebody else's
  BOOST_REQUIRE(::chown(own.c_str(), 65534, 65534) == 0);
  BOOST_TEST(cache_folder().error().message.starts_with(own.string() + " belongs to "));
}

BOOST_AUTO_TEST_CASE(a_TMPDIR_that_is_no_folder_is_an_error_and_says_so) {
  const Variable variable("TMPDIR", "/nowhere/at/all");
  BOOST_TEST(temporary_folder().error().message.find("TMPDIR is /nowhere/at/all") != std::string::npos);
  BOOST_TEST(!TemporaryFolder::make("rookery-test-").has_value());
}

BOOST_AUTO_TEST_CASE(a_unix_socket_may_have_a_longer_path_than_its_address_holds) {
  const auto folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-test-");
  const fs::path deep = folder->path() / std::string(90, 'a') / std::string(90, 'b');
  fs::create_directories(deep);
  const auto listener = listen_unix(deep / "socket");
  BOOST_REQUIRE(listener.has_value());
  struct stat status {};
  BOOST_REQUIRE(::stat((deep / "socket").c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777) == 0600u);
  BOOST_TEST(connect_unix(deep / "socket").has_value());
  BOOST_TEST(static_cast<bool>(accept_unix(listener->get())));
  BOOST_TEST(!static_cast<bool>(accept_unix(listener->get())));
}

BOOST_AUTO_TEST_CASE(a_command_gives_back_its_output_its_errors_and_its_exit_code) {
  Command command;
  command.argv = {"sh", "-c", "read word; echo got $word; echo oops >&2; exit 3"};
  command.input = "hello\n";
  std::vector<std::string> lines;
  command.on_line = [&](std::string_view line) { lines.emplace_back(line); };
  const auto result = run_command(command);
  BOOST_REQUIRE(result.has_value());
  BOOST_TEST(result->output == "got hello\n");
  BOOST_TEST(result->errors == "oops\n");
  BOOST_TEST(result->exit_code == 3);
  BOOST_TEST(lines == std::vector<std::string>{"oops"});
  const auto checked = run_checked(command);
  BOOST_REQUIRE(!checked.has_value());
  BOOST_TEST(checked.error().message == "sh ended with exit code 3:\noops\n");
}

BOOST_AUTO_TEST_CASE(a_missing_program_names_its_package) {
  const auto found = find_program("no-such-program", "some-package");
  BOOST_REQUIRE(!found.has_value());
  BOOST_TEST(found.error().message ==
             "no-such-program is not installed; it is in the Debian package some-package");
  BOOST_TEST(find_program("sh", "dash").has_value());
}

BOOST_AUTO_TEST_CASE(what_is_there_is_read_and_who_never_stops_is_left) {
  int ends[2];
  BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  const UniqueFd in(ends[0]);
  UniqueFd out(ends[1]);
  std::string got;
  const auto keep = [&](std::string_view piece) { got += piece; };
  BOOST_TEST(read_what_is_there(in, keep));
  BOOST_REQUIRE(::write(out.get(), "words", 5) == 5);
  BOOST_TEST(read_what_is_there(in, keep));
  BOOST_TEST(got == "words");
  unsigned pieces = 0;
  const auto answer = [&](std::string_view piece) {
    ++pieces;
    BOOST_REQUIRE(::write(out.get(), piece.data(), piece.size()) == static_cast<ssize_t>(piece.size()));
  };
  BOOST_REQUIRE(::write(out.get(), "x", 1) == 1);
  BOOST_TEST(read_what_is_there(in, answer));
  BOOST_TEST(pieces == 256u);
  out.reset();
  got.clear();
  BOOST_TEST(!read_what_is_there(in, keep));
  BOOST_TEST(got == "x");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery
