// The real agent program on a real network interface: a TAP device in namespaces of our own (user, network,
// mount), whose other end is this test with the host's end of the channel. Skipped where the system allows no
// such thing.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "base/command.h"
#include "base/file.h"
#include "base/unique_fd.h"
#include "guest/protocol/agent_channel.h"
#include "guest/protocol/agent_protocol.h"

using namespace rookery;
using namespace rookery::agent;

namespace {

constexpr MacAddress kGuest{0x0a, 0x52, 0x4b, 0, 0, 7};
constexpr Duration kPatience = std::chrono::seconds(20);

Time now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return Time{std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec)};
}

bool write_proc(const char* path, const std::string& text) {
  const UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Enters the namespaces, once for the whole program: what it may not do, it says.
std::string enter_namespaces() {
  const std::string uid = std::to_string(getuid()), gid = std::to_string(getgid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) return "no namespaces of our own";
  (void)write_proc("/proc/self/setgroups", "deny");
  if (!write_proc("/proc/self/uid_map", "0 " + uid + " 1") ||
      !write_proc("/proc/self/gid_map", "0 " + gid + " 1")) {
    return "no user namespace of our own";
  }
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("s", "/sys", "sysfs", 0, nullptr) != 0 || mount("r", "/run", "tmpfs", 0, nullptr) != 0) {
    return "no mounts of our own";
  }
  return "";
}

// A pair of interfaces: the machine's management NIC, and a packet socket on the other one.
UniqueFd make_wire() {
  (void)run_command({{"ip", "link", "delete", "mgmt"}, {}});
  const auto made = run_checked({{"ip", "link", "add", "mgmt", "address", "0a:52:4b:00:00:07", "type", "veth",
                                  "peer", "name", "host", "address", "02:00:00:00:00:01"},
                                 {}});
  if (!made || !run_checked({{"ip", "link", "set", "host", "up"}, {}})) return {};
  UniqueFd wire(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(kEtherType)));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(kEtherType);
  address.sll_ifindex = static_cast<int>(if_nametoindex("host"));
  if (!wire || bind(wire.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  return wire;
}

// A machine with nothing in it but its agent.
class Machine {
 public:
  Machine() {
    static const std::string cannot = enter_namespaces();
    if (cannot.empty()) wire_ = make_wire();
    if (!wire_) {
      std::cerr << "skipped: " << (cannot.empty() ? "no interfaces of our own" : cannot) << '\n';
      return;
    }
    child_ = fork();
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      execl(ROOKERY_GUEST_PROGRAM, "rookery-guest", "agent", static_cast<char*>(nullptr));
      _exit(127);
    }
  }
  ~Machine() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
  }
  explicit operator bool() const { return child_ > 0; }

  void send(const Message& message) { BOOST_REQUIRE(channel_.send(encode(message))); }

  Message next() {
    const Time end = now() + kPatience;
    while (now() < end) {
      if (const auto bytes = channel_.take_message()) {
        const Result<Message> message = decode(*bytes);
        BOOST_REQUIRE_MESSAGE(message, (message ? "" : message.error().message));
        return *message;
      }
      while (const auto segment = channel_.next_segment(now())) {
        const ByteBuffer frame = wrap_frame(kGuest, kHostAddress, *segment);
        BOOST_REQUIRE_EQUAL(write(wire_.get(), frame.data(), frame.size()),
                            static_cast<ssize_t>(frame.size()));
      }
      pollfd waiting{wire_.get(), POLLIN, 0};
      (void)poll(&waiting, 1, 100);
      std::uint8_t frame[2048];
      for (ssize_t size; (size = read(wire_.get(), frame, sizeof frame)) > 0;) {
        const ByteView segment = unwrap_frame(ByteView(frame, static_cast<std::size_t>(size)));
        if (!segment.empty()) channel_.receive(segment, now());
      }
    }
    const std::string state = read_file("/proc/" + std::to_string(child_) + "/status").value_or("gone");
    const std::size_t at = state.find("State:");
    const auto& seen = channel_.counters();
    BOOST_FAIL("the agent said nothing; " << (at == std::string::npos ? state : state.substr(at, 20))
                                          << "; stray " << seen.stray << ", duplicates " << seen.duplicates
                                          << ", retransmitted " << seen.retransmitted << ", queued "
                                          << channel_.queued_bytes());
    return Unknown{};
  }

  struct Said {
    std::string out, err;
    Exited exited;
  };
  Said until_exit(std::uint32_t request) {
    Said said;
    while (true) {
      const Message message = next();
      if (const auto* output = std::get_if<Output>(&message); output && output->request == request) {
        (output->stream == Stream::out ? said.out : said.err) += as_text(output->bytes);
      } else if (const auto* exited = std::get_if<Exited>(&message); exited && exited->request == request) {
        said.exited = *exited;
        return said;
      }
    }
  }
  Said run(const std::vector<std::string>& argv) {
    send(Exec{++requests_, argv});
    return until_exit(requests_);
  }

 private:
  UniqueFd wire_;
  Channel channel_ = Channel::host();
  pid_t child_ = -1;
  std::uint32_t requests_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_CASE(says_hello_first) {
  Machine machine;
  if (!machine) return;
  const Message message = machine.next();
  const auto* hello = std::get_if<Hello>(&message);
  BOOST_REQUIRE(hello != nullptr);
  BOOST_CHECK(hello->program == Program::agent);
  BOOST_CHECK_EQUAL(hello->version, kProtocolVersion);
}

BOOST_AUTO_TEST_CASE(runs_a_command_and_brings_its_output_and_exit_code) {
  Machine machine;
  if (!machine) return;
  machine.next();
  const auto said = machine.run({"/bin/sh", "-c", "echo out; echo err >&2; pwd; echo $HOME; cat; exit 3"});
  BOOST_CHECK_EQUAL(said.out, "out\n/\n/root\n");
  BOOST_CHECK_EQUAL(said.err, "err\n");
  BOOST_CHECK(said.exited == (Exited{1, false, 3}));
}

BOOST_AUTO_TEST_CASE(says_why_a_program_could_not_be_run) {
  Machine machine;
  if (!machine) return;
  machine.next();
  const auto said = machine.run({"no-such-program"});
  BOOST_CHECK_EQUAL(said.err, "no-such-program: No such file or directory\n");
  BOOST_CHECK_EQUAL(said.exited.code, 127);
}

BOOST_AUTO_TEST_CASE(gives_the_words_to_the_program_as_they_are) {
  Machine machine;
  if (!machine) return;
  machine.next();
  BOOST_CHECK_EQUAL(machine.run({"printf", "%s|", "a b", "$HOME", "", "*"}).out, "a b|$HOME||*|");
}

BOOST_AUTO_TEST_CASE(kills_what_it_runs_with_its_children) {
  Machine machine;
  if (!machine) return;
  machine.next();
  machine.send(Exec{9, {"/bin/sh", "-c", "echo started; sleep 1000 & wait"}});
  BOOST_CHECK(std::holds_alternative<Output>(machine.next()));
  machine.send(Kill{9});
  BOOST_CHECK(machine.until_exit(9).exited == (Exited{9, true, SIGKILL}));
}

BOOST_AUTO_TEST_CASE(brings_much_output_whole) {
  Machine machine;
  if (!machine) return;
  machine.next();
  const auto said = machine.run({"seq", "1", "400000"});
  BOOST_CHECK_EQUAL(said.out.size(), 2688895);
  BOOST_CHECK(said.out.ends_with("\n399999\n400000\n"));
}

BOOST_AUTO_TEST_CASE(does_not_wait_for_what_a_command_left_behind) {
  Machine machine;
  if (!machine) return;
  machine.next();
  const auto said = machine.run({"/bin/sh", "-c", "sleep 1000 & echo $!"});
  BOOST_CHECK_EQUAL(said.exited.code, 0);
  kill(std::stoi(said.out), SIGKILL);
}

BOOST_AUTO_TEST_CASE(refuses_more_commands_at_once_than_sixteen) {
  Machine machine;
  if (!machine) return;
  machine.next();
  for (std::uint32_t request = 1; request <= 17; ++request) machine.send(Exec{request, {"sleep", "1000"}});
  const auto said = machine.until_exit(17);
  BOOST_CHECK_EQUAL(said.err, "agent: 16 commands are running already\n");
  BOOST_CHECK_EQUAL(said.exited.code, 126);
  for (std::uint32_t request = 1; request <= 16; ++request) machine.send(Kill{request});
  for (int i = 0; i < 16; ++i) BOOST_CHECK(std::holds_alternative<Exited>(machine.next()));
}

BOOST_AUTO_TEST_CASE(a_program_reads_what_it_is_sent_in_its_own_time) {
  Machine machine;
  if (!machine) return;
  machine.next();
  machine.send(Open{1, 0, {"/bin/sh", "-c", "head -c 100000 | wc -c; cat; echo done >&2; exit 4"}});
  std::string sent, out, err;
  std::size_t taken = 0, told = 0;
  while (true) {
    while (sent.size() < 200000 && sent.size() - taken < kStreamWindow) {
      const std::size_t size =
          std::min<std::size_t>({200000 - sent.size(), kStreamWindow - (sent.size() - taken)});
      machine.send(Input{1, ByteBuffer(size, 'z')});
      sent.append(size, 'z');
      if (sent.size() == 200000) machine.send(Input{1, {}});
    }
    const Message message = machine.next();
    if (const auto* output = std::get_if<Output>(&message)) {
      (output->stream == Stream::out ? out : err) += as_text(output->bytes);
      BOOST_REQUIRE_LE(out.size() + err.size() - told, kStreamWindow);  // it keeps to the window, too
      if (out.size() - told > kStreamTakenEvery) {
        machine.send(Taken{1, static_cast<std::uint32_t>(out.size() - told)});
        told = out.size();
      }
    } else if (const auto* more = std::get_if<Taken>(&message)) {
      taken += more->bytes;
      BOOST_REQUIRE_LE(taken, sent.size());
    } else {
      BOOST_CHECK(message == Message(Exited{1, false, 4}));
      break;
    }
  }
  BOOST_CHECK_EQUAL(out, "100000\n" + std::string(100000, 'z'));
  BOOST_CHECK_EQUAL(err, "done\n");
}

BOOST_AUTO_TEST_CASE(a_program_that_does_not_read_ends_all_the_same) {
  Machine machine;
  if (!machine) return;
  machine.next();
  machine.send(Open{1, 0, {"true"}});
  machine.send(Input{1, ByteBuffer(kStreamWindow, 'z')});
  BOOST_CHECK(machine.until_exit(1).exited == (Exited{1, false, 0}));
}

BOOST_AUTO_TEST_CASE(cuts_off_a_host_that_sends_beyond_the_window) {
  Machine machine;
  if (!machine) return;
  machine.next();
  machine.send(Open{1, 0, {"sleep", "1000"}});
  for (int i = 0; i < 4; ++i) machine.send(Input{1, ByteBuffer(kStreamWindow, 'z')});
  BOOST_CHECK(machine.until_exit(1).exited == (Exited{1, true, SIGKILL}));
}

BOOST_AUTO_TEST_CASE(connects_to_a_port_and_closes_each_direction_by_itself) {
  Machine machine;
  if (!machine) return;
  machine.next();
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM, 0));
  ifreq lo{};
  std::memcpy(lo.ifr_name, "lo", 3);
  lo.ifr_flags = IFF_UP;
  BOOST_REQUIRE_EQUAL(ioctl(listener.get(), SIOCSIFFLAGS, &lo), 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(4242);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  BOOST_REQUIRE_EQUAL(bind(listener.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  BOOST_REQUIRE_EQUAL(listen(listener.get(), 4), 0);
  machine.send(Open{1, 4242, {}});
  machine.send(Input{1, {'h', 'i'}});
  machine.send(Input{1, {}});
  machine.send(Open{2, 4243, {}});  // where nobody listens
  const auto refused = machine.until_exit(2);
  BOOST_CHECK_EQUAL(refused.err, "nothing to connect to at port 4243: Connection refused\n");
  BOOST_CHECK_EQUAL(refused.exited.code, 1);
  UniqueFd peer(accept(listener.get(), nullptr, nullptr));
  char block[16];
  BOOST_CHECK_EQUAL(recv(peer.get(), block, sizeof block, MSG_WAITALL), 2);  // "hi", and the end
  BOOST_CHECK_EQUAL(send(peer.get(), "answer", 6, 0), 6);
  peer.reset();
  const auto said = machine.until_exit(1);
  BOOST_CHECK_EQUAL(said.out, "answer");
  BOOST_CHECK_EQUAL(said.exited.code, 0);
}

BOOST_AUTO_TEST_CASE(refuses_more_streams_at_once_than_its_limit) {
  Machine machine;
  if (!machine) return;
  machine.next();
  for (std::uint32_t request = 1; request <= kStreamsMax + 1; ++request)
    machine.send(Open{request, 0, {"cat"}});
  const auto said = machine.until_exit(kStreamsMax + 1);
  BOOST_CHECK_EQUAL(said.err, "agent: 48 streams are open already\n");
  for (std::uint32_t request = 1; request <= kStreamsMax; ++request) machine.send(Input{request, {}});
  for (std::size_t ended = 0; ended < kStreamsMax;) {
    if (std::holds_alternative<Exited>(machine.next())) ++ended;
  }
}

// In a namespace of its own it may not; and by nothing at all, in case it may.
BOOST_AUTO_TEST_CASE(says_why_it_cannot_step_the_clock) {
  Machine machine;
  if (!machine) return;
  machine.next();
  machine.send(StepClock{5, Duration::zero()});
  auto said = machine.until_exit(5);
  BOOST_CHECK_EQUAL(said.err, "agent: the clock cannot be set: Operation not permitted\n");
  BOOST_CHECK_EQUAL(said.exited.code, 1);
  machine.send(StepClock{6, Duration::min()});
  said = machine.until_exit(6);
  BOOST_CHECK_EQUAL(said.err, "agent: no clock shows that time\n");
}

BOOST_AUTO_TEST_CASE(passes_on_what_the_start_scripts_say) {
  Machine machine;
  if (!machine) return;
  machine.next();
  machine.send(
      Exec{1, {"/bin/sh", "-c", "echo nonsense > /run/rookery/agent; echo ready > /run/rookery/agent"}});
  bool ready = false, exited = false;
  while (!ready || !exited) {
    const Message message = machine.next();
    ready = ready || std::holds_alternative<Ready>(message);
    exited = exited || std::holds_alternative<Exited>(message);
  }
  machine.send(Exec{2, {"/bin/sh", "-c", "echo 'failed dnsmasq did not start' > /run/rookery/agent"}});
  while (true) {
    const Message message = machine.next();
    if (const auto* failed = std::get_if<Failed>(&message)) {
      BOOST_CHECK(*failed == (Failed{BootStage::ready, "dnsmasq did not start"}));
      break;
    }
  }
}

BOOST_AUTO_TEST_CASE(writes_the_files_of_a_role_and_none_outside) {
  Machine machine;
  if (!machine) return;
  machine.next();
  machine.send(Role{"boot-server", "", {}, {{"run/rookery/role/start", 0750, {'h', 'i'}}}});
  const auto said = machine.run({"stat", "-c", "%a %s", "/run/rookery/role/start"});
  BOOST_CHECK_EQUAL(said.out, "750 2\n");
  machine.send(Role{"bad", "", {}, {{"run/x", 0644, {}}, {"../y", 0644, {}}}});
  const Message message = machine.next();
  const auto* failed = std::get_if<Failed>(&message);
  BOOST_REQUIRE(failed != nullptr);
  BOOST_CHECK_EQUAL(failed->reason, "the role's file '../y' does not stay below the machine's root");
  BOOST_CHECK(!std::filesystem::exists("/run/x"));
}
