#include "base/confinement.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <iostream>

#include "base/file.h"
#include "base/process.h"

namespace rookery {
namespace {

namespace fs = std::filesystem;
constexpr Duration kLimit = std::chrono::seconds(20);

// A child of the programs of the host, and of one folder of its own; its script is Perl.
struct Cell {
  TemporaryFolder folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-test-").value();
  fs::path own = folder.path() / "own";
  ProcessSpec spec;
  std::string said;  // on both outputs

  Cell() {
    fs::create_directory(own);
    spec.environment = {{"PATH", "/usr/bin:/bin"}};
    spec.folder = own;
    spec.confined = true;
    spec.confinement.read_only = {"/usr", "/lib", "/lib64", "/bin", "/dev/null"};
    spec.confinement.read_write = {own};
  }

  // How it ends: "exit code 0" if its last expression is true.
  std::string run(const std::string& script) {
    return run({"/usr/bin/perl", "-MSocket", "-e", "exit((" + script + ") ? 0 : 1)"});
  }
  std::string run(std::vector<std::string> argv) {
    spec.argv = std::move(argv);
    int ends[2];
    BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const UniqueFd in(ends[0]);
    UniqueFd out(ends[1]);
    spec.output = spec.errors = out.get();
    EventLoop loop(std::make_unique<WallPacer>());
    std::optional<ExitStatus> ended;
    const auto child = ChildProcess::start(loop, spec, [&](ExitStatus status) { ended = status; });
    out.reset();
    if (!child) return child.error().message;
    BOOST_REQUIRE(loop.run_until([&] { return ended.has_value(); }, kLimit));
    char text[4096];
    const ssize_t got = ::read(in.get(), text, sizeof text);
    said.assign(text, got > 0 ? static_cast<std::size_t>(got) : 0);
    return ended->describe();
  }
};

UniqueFd listener(const sockaddr* address, socklen_t size) {
  UniqueFd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  BOOST_REQUIRE(::bind(fd.get(), address, size) == 0);
  BOOST_REQUIRE(::listen(fd.get(), 1) == 0);
  return fd;
}

// `name` begins with a zero byte for one without a file.
UniqueFd unix_listener(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  BOOST_REQUIRE(name.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, name.data(), name.size());
  return listener(reinterpret_cast<const sockaddr*>(&address),
                  static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size()));
}

std::string connects(const std::string& path) {
  return "socket(S, AF_UNIX, SOCK_STREAM, 0) && connect(S, pack_sockaddr_un(\"" + path + "\"))";
}

std::string calls(int number, const std::string& arguments) {
  return "syscall(" + std::to_string(number) + ", " + arguments + ") >= 0";
}

// Where the host has them; the others are tried in all their forms.
bool without_namespaces(const char* what) {
  if (host_walls().namespaces) return false;
  std::cerr << "skipped: " << what << ": no namespaces here: " << host_walls().no_namespaces << '\n';
  return true;
}
bool older_landlock(int version) {
  if (host_walls().landlock >= version) return false;
  std::cerr << "skipped: this kernel's Landlock is older than version " << version << '\n';
  return true;
}

bool write_to(const std::string& file, const std::string& text) {
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Goes where there can be no more of something.
bool forbids(const char* limit) {
  const std::string user = std::to_string(::geteuid()), group = std::to_string(::getegid());
  return ::unshare(CLONE_NEWUSER) == 0 && write_to("/proc/self/setgroups", "deny") &&
         write_to("/proc/self/uid_map", user + " " + user + " 1") &&
         write_to("/proc/self/gid_map", group + " " + group + " 1") &&
         write_to(std::string("/proc/sys/user/") + limit, "0");
}

constexpr const char* kGood = "exit code 0";
constexpr const char* kRefused = "exit code 1";

}  // namespace

BOOST_AUTO_TEST_SUITE(confinement)

BOOST_AUTO_TEST_CASE(reaches_its_own_files_and_no_others) {
  if (older_landlock(1)) return;
  for (const bool without : {false, true}) {
    Cell cell;
    cell.spec.confinement.without_namespaces = without;
    const fs::path secret = cell.folder.path() / "secret";
    BOOST_REQUIRE(write_file(secret, "secret").has_value());
    BOOST_TEST(cell.run("open(F, '>', 'mine') && print F 'x'") == kGood);
    BOOST_TEST(fs::exists(cell.own / "mine"));
    BOOST_TEST(cell.run("open(F, '<', '" + secret.string() + "')") == kRefused);
    BOOST_TEST(cell.run("open(F, '>', '" + secret.string() + "')") == kRefused);
    BOOST_TEST(cell.run("open(F, '<', '/etc/passwd')") == kRefused);
    BOOST_TEST(cell.run("opendir(D, '/')") == kRefused);
    BOOST_TEST(cell.run("open(F, '>', '/usr/bin/rookery-test')") == kRefused);
    BOOST_TEST(read_file(secret).value() == "secret");
  }
}

BOOST_AUTO_TEST_CASE(empties_no_other_files) {
  constexpr int kSince = 3;
  if (older_landlock(kSince)) return;
  for (const bool without : {false, true}) {
    Cell cell;
    cell.spec.confinement.without_namespaces = without;
    const fs::path secret = cell.folder.path() / "secret";
    for (const fs::path& file : {cell.own / "words", secret})
      BOOST_REQUIRE(write_file(file, "words").has_value());
    BOOST_TEST(cell.run("truncate('words', 0)") == kGood);
    BOOST_TEST(cell.run("truncate('" + secret.string() + "', 0)") == kRefused);
    BOOST_TEST(fs::file_size(secret) == 5u);
  }
}

BOOST_AUTO_TEST_CASE(signals_its_own_and_nobody_else) {
  constexpr int kSince = 6;
  if (older_landlock(kSince)) return;
  Cell cell;
  BOOST_TEST(cell.run({"/bin/sh", "-c", "sleep 1000 & kill $! && ! kill -0 " + std::to_string(::getpid())}) ==
             kGood);
}

BOOST_AUTO_TEST_CASE(connects_to_sockets_of_its_own_folder_and_no_others) {
  Cell cell;
  const std::string mine = cell.own / "mine.sock", theirs = cell.folder.path() / "control.sock";
  const UniqueFd own = unix_listener(mine), other = unix_listener(theirs);
  BOOST_TEST(cell.run(connects(mine)) == kGood);
  BOOST_TEST(cell.run(connects("mine.sock")) == kGood);
  if (without_namespaces("sockets by path")) return;
  BOOST_TEST(cell.run(connects(theirs)) == kRefused);
  BOOST_TEST(cell.run(connects("../control.sock")) == kRefused);
  // A link that leads out leads to nothing.
  fs::create_symlink(theirs, cell.own / "link");
  BOOST_TEST(cell.run(connects("link")) == kRefused);
  // What this test would otherwise not show: the host's own can be reached where no wall is.
  cell.spec.confinement.without_namespaces = true;
  BOOST_TEST(cell.run(connects(theirs)) == kGood);
}

BOOST_AUTO_TEST_CASE(connects_to_no_socket_without_a_file) {
  Cell cell;
  const std::string name = "rookery-test-" + std::to_string(::getpid());
  const UniqueFd other = unix_listener(std::string(1, '\0') + name);
  const std::string script = connects("\\0" + name);
  if (!without_namespaces("sockets without a file")) BOOST_TEST(cell.run(script) == kRefused);
  constexpr int kSince = 6;
  if (older_landlock(kSince)) return;
  cell.spec.confinement.without_namespaces = true;
  BOOST_TEST(cell.run(script) == kRefused);
}

BOOST_AUTO_TEST_CASE(reaches_no_network_not_even_loopback) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const UniqueFd other = listener(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  socklen_t size = sizeof address;
  BOOST_REQUIRE(::getsockname(other.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const std::string script = "socket(S, AF_INET, SOCK_STREAM, 0) && connect(S, pack_sockaddr_in(" +
                             std::to_string(ntohs(address.sin_port)) + ", INADDR_LOOPBACK))";
  for (const bool without : {false, true}) {
    Cell cell;
    cell.spec.confinement.without_namespaces = without;
    BOOST_TEST(cell.run(script) == kRefused);
    for (const int family : {AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK})
      BOOST_TEST(cell.run("socket(S, " + std::to_string(family) + ", 3, 0)") == kRefused);
  }
  // Not by the filter alone: there is no network, either.
  if (without_namespaces("network")) return;
  Cell cell;
  BOOST_TEST(cell.run("readlink('/proc/self/ns/net') ne '" + fs::read_symlink("/proc/self/ns/net").string() +
                      "'") == kGood);
}

BOOST_AUTO_TEST_CASE(sees_no_other_processes) {
  for (const bool without : {false, true}) {
    if (!without && without_namespaces("processes")) continue;
    if (without && older_landlock(1)) continue;
    Cell cell;
    cell.spec.confinement.without_namespaces = without;
    const std::string ours = "/proc/" + std::to_string(::getpid());
    BOOST_TEST(cell.run("open(F, '<', '" + ours + "/cmdline')") == kRefused);
    BOOST_TEST(cell.run("open(F, '<', '/proc/1/cmdline')") == kRefused);
    BOOST_TEST(cell.run("opendir(D, '/proc')") == kRefused);
    BOOST_TEST(cell.run("open(F, '<', '/proc/self/cmdline')") == kGood);
    if (without) continue;
    const std::string mounts = "open(F, '<', '/proc/self/mountinfo') && grep";
    BOOST_TEST(cell.run(mounts + "(m{ /usr }, <F>)") == kGood);
    BOOST_TEST(cell.run(mounts + "(m{ /(home|etc|root|sys|dev/shm) }, <F>)") == kRefused);
  }
}

BOOST_AUTO_TEST_CASE(makes_no_calls_that_a_guest_does_not_need) {
  for (const bool without : {false, true}) {
    Cell cell;
    cell.spec.confinement.without_namespaces = without;
    const auto refused = [&](const std::string& script) {
      return cell.run("!(" + script + ") && ($! == 1 || $! == 38)") == kGood;  // EPERM, ENOSYS
    };
    BOOST_TEST(refused(calls(SYS_mount, "my $none = 'none', my $on = '/usr', my $type = 'tmpfs', 0, 0")));
    BOOST_TEST(refused(calls(SYS_umount2, "my $path = '/usr', 2")));
    BOOST_TEST(refused(calls(SYS_unshare, std::to_string(CLONE_NEWUSER))));
    BOOST_TEST(refused(calls(SYS_unshare, std::to_string(CLONE_NEWNS))));
    BOOST_TEST(refused(calls(SYS_setns, "0, 0")));
    BOOST_TEST(refused(calls(SYS_clone, std::to_string(CLONE_NEWUSER | SIGCHLD) + ", 0, 0, 0, 0")));
    BOOST_TEST(refused(calls(SYS_clone3, "0, 0")));
    BOOST_TEST(refused(calls(SYS_chroot, "my $path = '/usr'")));
    BOOST_TEST(refused(calls(SYS_bpf, "0, 0, 0")));
    BOOST_TEST(refused(calls(SYS_keyctl, "0, 0")));
    BOOST_TEST(refused(calls(SYS_perf_event_open, "0, 0, 0, 0, 0")));
    BOOST_TEST(refused(calls(SYS_io_uring_setup, "1, 0")));
    BOOST_TEST(refused(calls(SYS_userfaultfd, "1")));
    BOOST_TEST(refused(calls(SYS_process_vm_readv, "$$, 0, 0, 0, 0, 0")));
    BOOST_TEST(refused(calls(SYS_kexec_load, "0, 0, 0, 0")));
    BOOST_TEST(refused(calls(SYS_prlimit64, std::to_string(::getpid()) + ", 7, 0, 0")));
    BOOST_TEST(!refused(calls(SYS_prlimit64, "0, 7, 0, 0")));
    BOOST_TEST(refused(calls(SYS_ptrace, "0, 0, 0, 0")));
    cell.spec.confinement.traces = true;
    BOOST_TEST(cell.run(calls(SYS_ptrace, "0, 0, 0, 0")) == kGood);
  }
}

BOOST_AUTO_TEST_CASE(has_no_capability_and_gains_none) {
  for (const bool without : {false, true}) {
    Cell cell;
    cell.spec.confinement.without_namespaces = without;
    BOOST_TEST(cell.run("open(F, '<', '/proc/self/status') && 2 == grep(/^Cap(Prm|Eff):\\s+0+$/, <F>)") ==
               kGood);
    BOOST_TEST(cell.run("open(F, '<', '/proc/self/status') && grep(/^NoNewPrivs:\\s+1$/, <F>)") == kGood);
    BOOST_TEST(cell.run("open(F, '<', '/proc/self/status') && grep(/^Seccomp:\\s+2$/, <F>)") == kGood);
  }
}

BOOST_AUTO_TEST_CASE(finds_its_files_by_every_name_that_they_were_given_by) {
  Cell cell;
  const fs::path store = cell.folder.path() / "store", versions = store / "1";
  fs::create_directories(versions);
  BOOST_REQUIRE(write_file(versions / "kernel", "kernel").has_value());
  fs::create_directory_symlink("1", store / "current");
  fs::create_symlink(store / "current" / "kernel", cell.folder.path() / "first");
  for (const fs::path& path : {cell.folder.path() / "first", store / "current", store / "nothing-there"})
    cell.spec.confinement.read_only.push_back(path);
  cell.spec.confinement.read_write.push_back(cell.own / "below");  // of a folder that is there whole
  const auto reads = [](const fs::path& path) { return "open(F, '<', '" + path.string() + "')"; };
  BOOST_TEST(cell.run(reads(cell.folder.path() / "first")) == kGood);
  BOOST_TEST(cell.run(reads(store / "current" / "kernel")) == kGood);
  BOOST_TEST(cell.run("open(F, '>', '" + (versions / "kernel").string() + "')") == kRefused);
}

BOOST_AUTO_TEST_CASE(a_confinement_that_cannot_be_made_is_an_error_before_anything_starts) {
  Cell cell;
  cell.spec.confinement.read_only.emplace_back("/");
  BOOST_TEST(cell.run("1").find("no confinement") != std::string::npos);
  cell.spec.confinement.read_only.back() = "relative";
  BOOST_TEST(cell.run("1").find("not an absolute path") != std::string::npos);
  const fs::path first = cell.folder.path() / "first", second = cell.folder.path() / "second";
  fs::create_symlink(second, first);
  fs::create_symlink(first, second);
  cell.spec.confinement.read_only.back() = first;
  BOOST_TEST(cell.run("1").find("too many links") != std::string::npos);
}

// Landlock is there, but no descriptor is left for its rules: the child must not start without them.
BOOST_AUTO_TEST_CASE(a_rule_that_cannot_be_added_is_an_error_before_anything_starts) {
  Cell cell;
  HostWalls host;
  host.landlock = 1;
  if (older_landlock(1)) return;
  BOOST_TEST(Walls::prepare(cell.spec.confinement, host).has_value());
  const pid_t child = ::fork();
  if (child == 0) {
    const int next = ::open("/dev/null", O_RDONLY);
    for (const rlim_t more : {0u, 1u}) {  // for the rule set; for a rule
      const rlimit limit{static_cast<rlim_t>(next) + more, static_cast<rlim_t>(next) + 1};
      ::close(next);
      ::setrlimit(RLIMIT_NOFILE, &limit);
      if (Walls::prepare(cell.spec.confinement, host)) ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(a_wall_that_cannot_be_raised_is_said_and_nothing_runs) {
  if (without_namespaces("a wall that falls")) return;
  Cell cell;
  const pid_t child = ::fork();
  if (child == 0) {
    host_walls();
    // None can be had any more, on a host that was found to have them.
    const bool limited = forbids("max_net_namespaces");
    if (!limited) ::_exit(2);
    if (cell.run("1") != "exit code 125") ::_exit(3);
    ::_exit(cell.said.find("cannot be raised: unshare: No space left") != std::string::npos ? 0 : 4);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  BOOST_TEST(WEXITSTATUS(status) == 0);
}

BOOST_AUTO_TEST_CASE(a_host_without_user_namespaces_is_found_out_and_said) {
  if (without_namespaces("a host that forbids them")) return;
  const pid_t child = ::fork();
  if (child == 0) {
    const bool forbidden = forbids("max_user_namespaces");
    if (!forbidden) ::_exit(2);
    const HostWalls found = try_walls();
    if (found.namespaces || found.no_namespaces.find("unshare: ") != 0) ::_exit(3);
    if (found.describe().find("can connect to any unix socket") == std::string::npos) ::_exit(4);
    // And there the other walls stand.
    ::_exit(found.landlock == host_walls().landlock && found.seccomp ? 0 : 5);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  BOOST_TEST(WEXITSTATUS(status) == 0);
}

BOOST_AUTO_TEST_CASE(dies_with_its_owner) {
  Cell cell;
  int fds[2];
  BOOST_REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
  UniqueFd in(fds[0]), out(fds[1]);
  const pid_t owner = ::fork();
  BOOST_REQUIRE(owner >= 0);
  if (owner == 0) {
    in.reset();
    EventLoop loop(std::make_unique<WallPacer>());
    cell.spec.argv = {"/bin/sh", "-c", "echo; exec sleep 1000"};
    cell.spec.output = out.get();
    const auto child = ChildProcess::start(loop, cell.spec, [](ExitStatus) {});
    for (;;) ::pause();
  }
  out.reset();
  char byte;
  BOOST_TEST(::read(in.get(), &byte, 1) == 1);
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  BOOST_TEST(::read(in.get(), &byte, 1) == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery
