// What goes wrong on a Xen host, in dom0 of a nested one (contract_test.py runs this): services that hang,
// domains that are somebody else's, runs that were killed, users without rights.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <string>

#include "backends/xen/xen_backend.h"
#include "backends/xen/xen_config.h"
#include "base/command.h"
#include "base/file.h"
#include "tests/contract/backend_contract.h"

namespace rookery::contract {
namespace {

namespace fs = std::filesystem;
using backends::Machine;
using backends::MachineState;

struct Record final : backends::MachineEvents {
  std::vector<std::string> reasons;
  std::string console;
  void state_changed(Machine&, MachineState, const std::string& reason) override {
    reasons.push_back(reason);
  }
  void console_output(Machine&, std::string_view bytes) override { console += bytes; }
};

struct Bench {
  std::unique_ptr<Subject> subject;
  Record record;
  backends::MachineSpec spec;
  std::unique_ptr<Machine> machine;

  explicit Bench(Duration patience = std::chrono::minutes(4))
      : subject(make_xen_subject(backends::Chipset::pv, patience)) {
    if (const auto why = subject->unavailable()) BOOST_FAIL(*why);
    spec = subject->spec("m1", Guest::echoes);
    machine = subject->backend().create(spec, record).value();
    BOOST_REQUIRE(machine->start().has_value());
  }
  std::string name() const { return backends::xen_domain_name(spec); }
  bool wait(const std::function<bool()>& until) { return subject->loop().run_until(until, subject->limit()); }
  std::string end() {
    BOOST_REQUIRE(wait([this] { return !record.reasons.empty(); }));
    return record.reasons[0];
  }
  bool listens() {
    return wait([this] { return record.console.find("listening") != std::string::npos; });
  }
};

std::string domains() {
  return run_checked({{"xl", "list"}, {}}).value().output;
}
bool there(const std::string& domain) {
  return domains().find(domain) != std::string::npos;
}

// A domain that Rookery knows nothing of.
class Foreign {
 public:
  explicit Foreign(std::string name) : name_(std::move(name)) {
    const auto folder = TemporaryFolder::make(fs::temp_directory_path(), "foreign-").value();
    const std::string text = fmt::format("name = '{}'\ntype = 'pv'\nmemory = 96\nkernel = '{}'\n", name_,
                                         std::getenv("ROOKERY_XEN_KERNEL"));
    BOOST_REQUIRE(write_file(folder.path() / "config", text).has_value());
    const auto made = run_checked({{"xl", "create", "-q", "-p", (folder.path() / "config").string()}, {}});
    BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
  }
  ~Foreign() { (void)run_checked({{"xl", "destroy", name_}, {}}); }

 private:
  std::string name_;
};

// What a process of its own says to this one, and its end.
struct Child {
  pid_t pid = -1;
  int said = -1;

  explicit Child(const std::function<void(int say)>& deed) {
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    pid = ::fork();
    if (pid == 0) {
      ::close(ends[0]);
      deed(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    said = ends[0];
  }
  ~Child() {
    ::close(said);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  std::string hear() const {
    char text[512];
    const ssize_t got = ::read(said, text, sizeof text);
    return std::string(text, got > 0 ? static_cast<std::size_t>(got) : 0);
  }
};

void say_to(int pipe, const std::string& text) {
  (void)!::write(pipe, text.data(), text.size());
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_user_without_rights_is_told_what_is_missing) {
  const Child child([](int say) {
    if (::setuid(1000) != 0) return;
    EventLoop loop(std::make_unique<WallPacer>());
    const auto able = backends::XenBackend(loop).probe({});
    say_to(say, able ? "it may" : able.error().message);
  });
  BOOST_TEST(child.hear().starts_with("this is a Xen host, but making domains takes root: /dev/xen/privcmd"));
}

BOOST_AUTO_TEST_CASE(a_killed_runs_domains_are_destroyed_by_the_next_run_and_no_others) {
  const Foreign foreign("rookery-by-name-only");
  std::string name, folder;
  {
    const Child killed([](int say) {
      Bench bench;
      if (bench.listens()) say_to(say, bench.name() + " " + bench.spec.folder.string());
      ::pause();
    });
    const std::string said = killed.hear();
    name = said.substr(0, said.find(' '));
    folder = said.substr(said.find(' ') + 1);
    BOOST_REQUIRE(there(name));
    // A run that is alive is left alone, and so are its domains.
    Bench other;
    BOOST_REQUIRE(other.listens());
    BOOST_TEST(there(name));
  }
  BOOST_TEST(there(name));
  fs::remove_all(folder);  // as the killed run's janitor does
  Bench next;
  BOOST_REQUIRE(next.listens());
  BOOST_TEST(!there(name));
  BOOST_TEST(there("rookery-by-name-only"));
}

BOOST_AUTO_TEST_CASE(a_foreign_domain_of_the_same_name_is_left_alone) {
  Bench bench;
  BOOST_REQUIRE(bench.machine->power(backends::PowerAction::cut).has_value());
  BOOST_TEST(bench.end() == "power cut");
  bench.record.reasons.clear();
  const Foreign foreign(bench.name());
  BOOST_REQUIRE(bench.machine->start().has_value());
  const std::string why = bench.end();
  BOOST_TEST((bench.machine->state() == MachineState::failed));
  BOOST_TEST(why.find("that is not Rookery's; it was left alone") != std::string::npos, why);
  bench.machine.reset();
  BOOST_TEST(there(bench.name()));
}

BOOST_AUTO_TEST_CASE(a_xenstored_that_hangs_is_told_of_while_the_loop_goes_on) {
  const pid_t xenstored = std::stoi(read_file("/run/xenstored.pid").value());
  BOOST_REQUIRE(::kill(xenstored, SIGSTOP) == 0);
  std::string why, left = "unknown";
  bool ticked = false;
  {
    Bench bench(std::chrono::seconds(3));
    bench.subject->loop().after(std::chrono::seconds(1), [&] { ticked = bench.record.reasons.empty(); });
    why = bench.end();
    BOOST_TEST((bench.machine->state() == MachineState::failed));
    BOOST_TEST(::kill(xenstored, SIGCONT) == 0);
  }
  BOOST_TEST(ticked);
  BOOST_TEST(why.find("has not answered for 3 s; look whether its xenstored runs") != std::string::npos, why);
  BOOST_TEST(!there("rookery-"));  // what it was asked before was done, and undone
  BOOST_TEST(Bench().listens());
}

}  // namespace rookery::contract
