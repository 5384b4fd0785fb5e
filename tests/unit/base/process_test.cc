#include "base/process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <functional>

#include "base/command.h"
#include "base/file.h"

namespace rookery {
namespace {

namespace fs = std::filesystem;
constexpr Duration kLimit = std::chrono::seconds(20);

struct Wall {
  EventLoop loop{std::make_unique<WallPacer>()};
  std::optional<ExitStatus> ended;
  std::unique_ptr<ChildProcess> start(ProcessSpec spec) {
    auto child = ChildProcess::start(loop, spec, [this](ExitStatus status) { ended = status; });
    BOOST_REQUIRE(child.has_value());
    return std::move(*child);
  }
  ExitStatus wait() {
    BOOST_REQUIRE(loop.run_until([this] { return ended.has_value(); }, kLimit));
    return *ended;
  }
};

ProcessSpec shell(const std::string& script) {
  ProcessSpec spec;
  spec.argv = {"/bin/sh", "-c", script};
  spec.environment = {{"PATH", "/usr/bin:/bin"}};
  return spec;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(process)

BOOST_AUTO_TEST_CASE(its_end_is_an_event_with_the_exit_code_or_the_signal) {
  Wall first;
  const auto child = first.start(shell("exit 7"));
  BOOST_TEST(first.wait().code == 7);
  BOOST_TEST(first.ended->describe() == "exit code 7");
  BOOST_TEST(!child->running());

  Wall second;
  const auto killed = second.start(shell("kill -9 $$"));
  BOOST_TEST(second.wait().signal == SIGKILL);
}

BOOST_AUTO_TEST_CASE(what_we_ignore_acts_on_it_as_by_default) {
  const auto pipes = ::signal(SIGPIPE, SIG_IGN), files = ::signal(SIGXFSZ, SIG_IGN);
  for (const auto& [script, number] :
       {std::pair{"kill -PIPE $$", SIGPIPE}, std::pair{"kill -XFSZ $$", SIGXFSZ}}) {
    Wall wall;
    const auto child = wall.start(shell(script));
    BOOST_TEST(wall.wait().signal == number);
    const auto done = run_command({.argv = {"sh", "-c", script}, .folder = {}});
    BOOST_REQUIRE(done.has_value());
    BOOST_TEST(done->exit_code == 128 + number);
  }
  ::signal(SIGPIPE, pipes);
  ::signal(SIGXFSZ, files);
}

BOOST_AUTO_TEST_CASE(destroying_it_kills_it_and_what_it_started) {
  const auto folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-test-");
  Wall wall;
  int fds[2];
  BOOST_REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
  UniqueFd in(fds[0]), out(fds[1]);
  ProcessSpec spec = shell("sleep 1000 & echo started; wait");
  spec.output = out.get();
  auto child = wall.start(spec);
  out.reset();
  char line[8];
  BOOST_REQUIRE(::read(in.get(), line, sizeof line) == 8);
  child.reset();
  // Nobody holds the other end any more: both are gone.
  BOOST_TEST(::read(in.get(), line, sizeof line) == 0);
}

BOOST_AUTO_TEST_CASE(nothing_of_our_environment_or_descriptors_is_inherited) {
  Wall wall;
  int fds[2];
  BOOST_REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
  UniqueFd in(fds[0]), out(fds[1]);
  const UniqueFd secret(::open("/dev/null", O_RDONLY));  // not close-on-exec
  ::setenv("ROOKERY_SECRET", "1", 1);
  ProcessSpec spec = shell("env | grep -c SECRET; ls /proc/self/fd");
  spec.output = out.get();
  const auto child = wall.start(spec);
  wall.wait();
  char text[64] = {};
  BOOST_REQUIRE(::read(in.get(), text, sizeof text - 1) > 0);
  // What `ls` itself has open: the standard three, and the folder that it lists.
  BOOST_TEST(std::string(text) == "0\n0\n1\n2\n3\n");
}

BOOST_AUTO_TEST_CASE(a_program_that_is_not_there_is_an_error_before_anything_starts) {
  EventLoop loop(std::make_unique<WallPacer>());
  ProcessSpec spec;
  spec.argv = {"/nonexistent/program"};
  BOOST_TEST(!ChildProcess::start(loop, spec, [](ExitStatus) {}).has_value());
}

BOOST_AUTO_TEST_CASE(a_child_and_the_folders_of_a_killed_owner_go_with_it) {
  const auto folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-test-");
  const fs::path mine = folder->path() / "mine", other = folder->path() / "other";
  const fs::path mark = folder->path() / "mark";
  int fds[2];
  BOOST_REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
  UniqueFd in(fds[0]), out(fds[1]);
  const pid_t owner = ::fork();
  BOOST_REQUIRE(owner >= 0);
  if (owner == 0) {
    in.reset();
    const auto claimed = claim_folder(mine), also = claim_folder(other);
    const auto janitor = start_janitor({&**claimed, &**also}, {"/usr/bin/touch", mark});
    EventLoop loop(std::make_unique<WallPacer>());
    // The sleeps have not asked to die with their parent, as a guest's process in its first moment.
    ProcessSpec spec = shell("sleep 1000 & echo; sleep 1000");
    spec.output = out.get();
    spec.folder = mine;
    const auto child = ChildProcess::start(loop, spec, [](ExitStatus) {});
    for (;;) ::pause();
  }
  out.reset();
  char byte;
  BOOST_TEST(::read(in.get(), &byte, 1) == 1);
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  BOOST_TEST(::read(in.get(), &byte, 1) == 0);  // ends when all who hold the other end are gone
  // The janitor's last deed is seen by what it leaves; bounded by the test's own time limit.
  while (!fs::exists(mark)) ::sched_yield();
  BOOST_TEST(!fs::exists(mine));
  BOOST_TEST(!fs::exists(other));
}

// Starts a janitor for two folders, lets `happens` happen to them, and waits until it is at its end: when it
// has let go of the claims, whose last holder it is.
void outlive_janitor(ClaimedFolder first, ClaimedFolder second, const fs::path& mark,
                     const std::function<void()>& happens) {
  auto janitor = start_janitor({&first, &second}, {"/usr/bin/touch", mark});
  BOOST_REQUIRE(janitor.has_value());
  std::vector<UniqueFd> watches;
  for (const ClaimedFolder* each : {&first, &second}) {
    const std::string descriptor = "/proc/self/fd/" + std::to_string(each->claim.get());
    watches.emplace_back(::open(descriptor.c_str(), O_RDONLY | O_CLOEXEC));
    BOOST_REQUIRE(static_cast<bool>(watches.back()));
  }
  happens();
  first.claim.reset();
  second.claim.reset();
  janitor->reset();
  for (const UniqueFd& watch : watches) {
    while (::flock(watch.get(), LOCK_EX | LOCK_NB) != 0) ::sched_yield();
  }
}

BOOST_AUTO_TEST_CASE(a_janitor_spares_folders_that_have_become_anothers) {
  const auto folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-test-");
  const fs::path name = folder->path() / "name", other = folder->path() / "other";
  const fs::path mark = folder->path() / "mark";
  std::optional<ClaimedFolder> again, other_again;
  outlive_janitor(**claim_folder(name), **claim_folder(other), mark, [&] {
    for (const fs::path& path : {name, other}) fs::remove_all(path);  // an orderly end
    again = std::move(*claim_folder(name));
    other_again = std::move(*claim_folder(other));
  });
  BOOST_TEST(again->stands());
  BOOST_TEST(other_again->stands());
  BOOST_TEST(!fs::exists(mark));
}

// As at logout, when the runtime folder goes.
BOOST_AUTO_TEST_CASE(a_janitor_removes_the_one_folder_when_somebody_has_removed_the_other) {
  const auto folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-test-");
  const fs::path name = folder->path() / "name", other = folder->path() / "other";
  const fs::path mark = folder->path() / "mark";
  outlive_janitor(**claim_folder(name), **claim_folder(other), mark, [&] { fs::remove_all(name); });
  BOOST_TEST(!fs::exists(other));
  BOOST_TEST(fs::exists(mark));
}

BOOST_AUTO_TEST_CASE(a_claimed_folder_is_nobody_elses_until_it_is_let_go) {
  const auto folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-test-");
  const fs::path name = folder->path() / "name";
  {
    const auto first = claim_folder(name);
    BOOST_REQUIRE((first && *first));
    BOOST_TEST(((fs::status(name).permissions() & fs::perms::all) == fs::perms::owner_all));
    BOOST_TEST(!claim_folder(name)->has_value());
  }
  BOOST_TEST(claim_folder(name)->has_value());  // left behind: it is taken over
  BOOST_TEST(write_file(folder->path() / "file", "").has_value());
  BOOST_TEST(!claim_folder(folder->path() / "file").has_value());
}

BOOST_AUTO_TEST_CASE(a_folder_that_is_not_private_or_not_ours_is_not_claimed) {
  const auto folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-test-");
  const fs::path open = folder->path() / "open";
  fs::create_directory(open);
  fs::permissions(open, fs::perms::owner_all | fs::perms::others_exec);
  const auto refused = claim_folder(open);
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().message ==
             open.string() + " is not a private folder of this user; remove it and try again");
  BOOST_TEST(fs::exists(open));
  fs::create_directory_symlink(open, folder->path() / "link");
  BOOST_TEST(!claim_folder(folder->path() / "link").has_value());
  // Another user's: root makes one, anybody else meets root's.
  const fs::path theirs = ::geteuid() == 0 ? folder->path() / "theirs" : fs::path("/root");
  if (::geteuid() == 0) {
    fs::create_directory(theirs);
    fs::permissions(theirs, fs::perms::owner_all);
    constexpr uid_t kNobody = 65534;
    BOOST_REQUIRE(::chown(theirs.c_str(), kNobody, kNobody) == 0);
  }
  const auto others = claim_folder(theirs);
  BOOST_REQUIRE(!others.has_value());
  BOOST_TEST(others.error().message.find(theirs.string() + " belongs to another user (uid ") == 0,
             others.error().message);
  // So is a runtime folder.
  const char* before = std::getenv("XDG_RUNTIME_DIR");
  const std::string kept = before != nullptr ? before : "";
  ::setenv("XDG_RUNTIME_DIR", theirs.c_str(), 1);
  const auto runtime = runtime_folder();
  BOOST_REQUIRE(!runtime.has_value());
  BOOST_TEST(
      runtime.error().message.find("XDG_RUNTIME_DIR names " + theirs.string() + ", which belongs to") == 0);
  ::setenv("XDG_RUNTIME_DIR", folder->path().c_str(), 1);
  BOOST_TEST(runtime_folder().value() == folder->path() / "rookery");
  before != nullptr ? ::setenv("XDG_RUNTIME_DIR", kept.c_str(), 1) : ::unsetenv("XDG_RUNTIME_DIR");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery
