// What becomes of machines when the libvirt that has them goes: a daemon that is restarted, and a connection
// that ends in the middle, comes back, and then does not. What is said of a socket that one may not use, or
// only read, of a QEMU that dies in its own start, and of another machine's snapshot. Over a libvirtd of this
// test's own, as an ordinary user: if root runs it, as nobody.
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <charconv>
#include <cstdlib>
#include <source_location>

#include "backends/libvirt/libvirt_backend.h"
#include "base/file.h"
#include "base/process.h"
#include "base/unix_socket.h"
#include "tests/contract/firmware_guest.h"

namespace rookery::backends {
namespace {

namespace fs = std::filesystem;
using contract::Guest;

constexpr Duration kLimit = std::chrono::seconds(90);

struct Record final : MachineEvents {
  std::vector<std::pair<MachineState, std::string>> changes;
  std::string console;
  void state_changed(Machine&, MachineState state, const std::string& why) override {
    changes.emplace_back(state, why);
  }
  void console_output(Machine&, std::string_view bytes) override { console += bytes; }
};

// libvirt's session is for ordinary users only. Before anything is made or opened.
TemporaryFolder folder_of_ordinary_user() {
  const passwd* nobody = ::geteuid() == 0 ? ::getpwnam("nobody") : nullptr;
  if (nobody != nullptr &&
      (::setgroups(0, nullptr) != 0 || ::setgid(nobody->pw_gid) != 0 || ::setuid(nobody->pw_uid) != 0))
    throw std::runtime_error("root cannot become nobody");
  return TemporaryFolder::make(fs::temp_directory_path(), "rookery-lv-").value();
}

// Folders that libvirt takes for this user's session, of which this process is the only one.
struct Session {
  TemporaryFolder folder = folder_of_ordinary_user();
  Session() {
    for (const auto& [name, place] :
         {std::pair("XDG_RUNTIME_DIR", "run"), std::pair("XDG_CONFIG_HOME", "config"),
          std::pair("XDG_DATA_HOME", "data"), std::pair("XDG_CACHE_HOME", "cache")}) {
      fs::create_directory(folder.path() / place);
      fs::permissions(folder.path() / place, fs::perms::owner_all);
      ::setenv(name, (folder.path() / place).c_str(), 1);
    }
  }
  ~Session() {
    for (const char* name : {"libvirtd", "virtlogd"}) {
      if (const pid_t pid = number(name); pid > 0) ::kill(pid, SIGTERM);
    }
  }
  pid_t daemon() const { return number("libvirtd"); }
  pid_t number(const std::string& of) const {
    return number_in(folder.path() / "run/libvirt" / (of + ".pid"));
  }
  static pid_t number_in(const fs::path& file) {
    const auto text = read_file(file, Bytes{64});
    pid_t number = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), number);
    return number;
  }
};

Session& session() {
  static Session only;
  return only;
}

// Why this cannot be tried here, printed.
bool unavailable() {
  std::optional<std::string> why = contract::firmware_unavailable();
  if (!why) {
    EventLoop loop(std::make_unique<WallPacer>());
    (void)session();
    LibvirtBackend backend(loop, {*parse_libvirt_uri("qemu:///session"), {"probe", "here"}, {}},
                           [] { return false; });
    if (const auto able = backend.probe({}); !able) why = able.error().message;
  }
  if (why) printf("skipped: %s\n", why->c_str());
  return why.has_value();
}

// For what no event of the loop tells.
bool look_until(EventLoop& loop, const std::function<bool()>& what) {
  EventId look;
  std::function<void()> look_again = [&] { look = loop.after(std::chrono::milliseconds(20), look_again); };
  look_again();
  const bool seen = loop.run_until(what, kLimit);
  loop.cancel(look);
  return seen;
}

struct Bench {
  EventLoop loop{std::make_unique<WallPacer>()};
  Record record;
  DomainOwner owner{"away", session().folder.path().string()};
  LibvirtBackend backend;
  std::unique_ptr<Machine> machine;

  explicit Bench(const std::string& uri, const std::vector<std::string>& more_arguments = {})
      : backend(loop, {*parse_libvirt_uri(uri), owner, {}}, [] { return false; }) {
    machine = make("m1", more_arguments);
    BOOST_REQUIRE(machine->start().has_value());
    if (!more_arguments.empty()) return;
    wait_for([&] { return said("listening"); });
    // What is asked of libvirt is done by now as well: it answers in order.
    machine->console_input("made\n");
    wait_for([&] { return said("made"); });
  }
  std::unique_ptr<Machine> make(const std::string& name,
                                const std::vector<std::string>& more_arguments = {}) {
    MachineSpec spec;
    spec.name = name;
    spec.memory = mebibytes(16);
    spec.folder = session().folder.path() / name;
    fs::create_directories(spec.folder);
    contract::assemble_firmware(spec.folder, Guest::echoes);
    spec.hardware.more_arguments = {"-bios", (spec.folder / "firmware").string()};
    for (const std::string& more : more_arguments) spec.hardware.more_arguments.push_back(more);
    auto made = backend.create(std::move(spec), record);
    BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
    return std::move(*made);
  }
  bool said(const std::string& text) const { return record.console.find(text) != std::string::npos; }
  void look_until(const std::function<bool()>& what,
                  std::source_location from = std::source_location::current()) {
    BOOST_REQUIRE_MESSAGE(rookery::backends::look_until(loop, what), "waited in line " << from.line());
  }
  void wait_for(const std::function<bool()>& what,
                std::source_location from = std::source_location::current()) {
    const std::string last = record.changes.empty() ? "nothing" : record.changes.back().second;
    BOOST_REQUIRE_MESSAGE(loop.run_until(what, kLimit), "waited in line " << from.line()
                                                                          << "; told last: " << last
                                                                          << "; console: " << record.console);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(libvirt_away)

BOOST_AUTO_TEST_CASE(machines_go_on_while_libvirtd_is_restarted) {
  if (unavailable()) return;
  Bench bench("qemu:///session");
  const pid_t before = session().daemon();
  BOOST_REQUIRE(before > 0);
  BOOST_REQUIRE(::kill(before, SIGTERM) == 0);
  // By our connecting again.
  bench.look_until([&] { return session().daemon() > 0 && session().daemon() != before; });
  BOOST_TEST(bench.record.changes.empty());
  bench.machine->console_input("still here\n");
  bench.wait_for([&] { return bench.said("still here"); });
  BOOST_REQUIRE(bench.machine->power(PowerAction::reset).has_value());
  bench.wait_for([&] { return bench.record.changes.size() == 2; });
  BOOST_TEST(bench.record.changes[1].second == "reset");
  BOOST_REQUIRE(bench.machine->power(PowerAction::cut).has_value());
  bench.wait_for([&] { return bench.record.changes.size() == 3; });
  BOOST_TEST(bench.record.changes[2].second == "power cut");
}

BOOST_AUTO_TEST_CASE(
    a_connection_that_ends_and_does_not_come_back_fails_its_machines_and_leaves_them_to_clean) {
  if (unavailable()) return;
  // As by ssh: a program of ours carries libvirt's words, until it may not any more.
  const fs::path carrier = session().folder.path() / "carrier", pid = session().folder.path() / "pid",
                 gone = session().folder.path() / "gone";
  BOOST_REQUIRE(write_file(carrier,
                           "#!/bin/sh\n[ ! -e " + gone.string() + " ] || exit 1\necho $$ >" + pid.string() +
                               "\nexport XDG_RUNTIME_DIR=" + (session().folder.path() / "run").string() +
                               "\nexec virt-ssh-helper qemu:///session\n",
                           0755)
                    .has_value());
  {
    Bench bench("qemu+ext:///session?command=" + carrier.string());
    const pid_t first = Session::number_in(pid);
    BOOST_REQUIRE(::kill(first, SIGKILL) == 0);
    bench.look_until([&] { return Session::number_in(pid) > 0 && Session::number_in(pid) != first; });
    bench.machine->console_input("still here\n");
    bench.wait_for([&] { return bench.said("still here"); });
    BOOST_TEST(bench.record.changes.empty());
    BOOST_REQUIRE(write_file(gone, "").has_value());
    BOOST_REQUIRE(::kill(Session::number_in(pid), SIGKILL) == 0);
    bench.wait_for([&] { return !bench.record.changes.empty(); });
    BOOST_TEST((bench.record.changes[0].first == MachineState::failed));
    BOOST_TEST(bench.record.changes[0].second.find("was lost: ") != std::string::npos,
               bench.record.changes[0].second);
    BOOST_TEST(bench.record.changes[0].second.find("rookery clean") != std::string::npos);
  }
  const auto destroyed = destroy_domains_of(
      {*parse_libvirt_uri("qemu:///session"), {"away", session().folder.path().string()}, {}});
  BOOST_REQUIRE_MESSAGE(destroyed.has_value(), (destroyed ? "" : destroyed.error().message));
  BOOST_TEST(*destroyed == std::vector<std::string>{"rookery-away-m1"}, boost::test_tools::per_element());
}

// libvirt itself would wait half a minute for what is left of it.
BOOST_AUTO_TEST_CASE(a_qemu_that_dies_in_its_own_start_is_told_of_at_once_in_its_own_words) {
  if (unavailable()) return;
  Bench bench("qemu:///session", {"-no-such-option"});
  BOOST_REQUIRE(
      bench.loop.run_until([&] { return !bench.record.changes.empty(); }, std::chrono::seconds(20)));
  BOOST_TEST((bench.record.changes[0].first == MachineState::failed));
  BOOST_TEST(bench.record.changes[0].second.find("-no-such-option: invalid option") != std::string::npos,
             bench.record.changes[0].second);
}

BOOST_AUTO_TEST_CASE(a_snapshot_of_another_machine_is_refused_and_that_one_goes_on) {
  if (unavailable()) return;
  Bench bench("qemu:///session");
  const auto other = bench.make("m2");
  const fs::path file = session().folder.path() / "snapshot";
  std::optional<Status> done;
  const auto keep = [&](const Status& status) { done = status; };
  BOOST_REQUIRE(bench.machine->snapshots()->take(file, keep).has_value());
  bench.wait_for([&] { return done.has_value(); });
  BOOST_REQUIRE_MESSAGE(done->has_value(), done->error().message);
  done.reset();
  BOOST_REQUIRE(other->snapshots()->restore(file, keep).has_value());
  bench.wait_for([&] { return done.has_value(); });
  BOOST_REQUIRE(!done->has_value());
  BOOST_TEST(done->error().message.find("does not match source") != std::string::npos, done->error().message);
  BOOST_TEST((other->state() == MachineState::failed));
  bench.machine->console_input("still here\n");
  bench.wait_for([&] { return bench.said("still here"); });
}

BOOST_AUTO_TEST_CASE(a_socket_that_this_user_may_not_use_is_said_to_be_so) {
  if (unavailable()) return;
  const fs::path path = session().folder.path() / "locked";
  const auto listener = listen_unix(path);
  BOOST_REQUIRE(listener.has_value());
  fs::permissions(path, fs::perms::none);
  EventLoop loop(std::make_unique<WallPacer>());
  LibvirtBackend backend(
      loop, {*parse_libvirt_uri("qemu+unix:///session?socket=" + path.string()), {"away", "here"}, {}},
      [] { return false; });
  const auto able = backend.probe({});
  BOOST_REQUIRE(!able.has_value());
  BOOST_TEST(
      able.error().message.find("Permission denied; this user lacks the right to it") != std::string::npos,
      able.error().message);
}

// Only a libvirtd that takes itself for root's has such a socket. It has no driver but the mock, and a /run
// of its own.
BOOST_AUTO_TEST_CASE(a_socket_for_reading_only_is_said_to_be_so) {
  if (unavailable()) return;
  const fs::path folder = session().folder.path() / "reading", socket = folder / "libvirt-sock-ro";
  fs::create_directories(folder / "drivers");
  BOOST_REQUIRE(write_file(folder / "conf", "unix_sock_dir = \"" + folder.string() +
                                                "\"\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n")
                    .has_value());
  ProcessSpec daemon;
  daemon.argv = {"/usr/bin/unshare",
                 "--user",
                 "--map-root-user",
                 "--mount",
                 "sh",
                 "-c",
                 "mount -t tmpfs run /run && exec libvirtd --config conf --pid-file pid"};
  daemon.folder = folder;
  daemon.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"},
                        {"LIBVIRT_DRIVER_DIR", (folder / "drivers").string()}};
  EventLoop loop(std::make_unique<WallPacer>());
  bool ended = false;
  const auto running = ChildProcess::start(loop, daemon, [&](ExitStatus) { ended = true; });
  BOOST_REQUIRE(running.has_value());
  BOOST_REQUIRE(look_until(loop, [&] { return ended || connect_unix(socket).has_value(); }));
  if (ended) {
    printf(
        "skipped: this user makes no namespaces here; allow it: sysctl kernel.unprivileged_userns_clone=1\n");
    return;
  }
  LibvirtBackend backend(
      loop,
      {*parse_libvirt_uri("test+unix:///default?socket=" + socket.string()), {"away", folder.string()}, {}},
      [] { return false; });
  MachineSpec spec;
  spec.name = "m1";
  spec.memory = mebibytes(16);
  spec.folder = folder;
  Record record;
  const auto machine = backend.create(std::move(spec), record);
  BOOST_REQUIRE_MESSAGE(machine.has_value(), (machine ? "" : machine.error().message));
  BOOST_REQUIRE((*machine)->start().has_value());
  BOOST_REQUIRE(loop.run_until([&] { return !record.changes.empty(); }, kLimit));
  BOOST_TEST((record.changes[0].first == MachineState::failed));
  BOOST_TEST(
      record.changes[0].second.find("read only access prevents virDomainCreateXML; this connection may "
                                    "look and not make") != std::string::npos,
      record.changes[0].second);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::backends
