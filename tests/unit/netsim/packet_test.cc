// Two ports at the ends of one cable of the kernel's (a veth pair), in network namespaces of our own; those
// of an ordinary user do. And a port that is told which of them it has (netsim/ports/announced.h).
#include "netsim/ports/packet.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "base/command.h"
#include "base/file.h"
#include "base/unix_socket.h"
#include "netsim/ports/announced.h"
#include "netsim/segment.h"
#include "netsim_test.h"
#include "packets.h"

namespace rookery::netsim {
namespace {

constexpr Duration kLimit = std::chrono::seconds(10);

Status run(const std::vector<std::string>& argv) {
  return run_checked({argv, {}}).map([](const auto&) {});
}

// To a file of the kernel's.
Status tell(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text << std::flush;
  return out ? Status{} : fail_errno("writing " + file);
}

Status make_cable() {
  const std::string user = std::to_string(::geteuid()), group = std::to_string(::getegid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return fail_errno("unshare -Urn");
  ROOKERY_TRY(tell("/proc/self/setgroups", "deny"));
  ROOKERY_TRY(tell("/proc/self/uid_map", "0 " + user + " 1"));
  ROOKERY_TRY(tell("/proc/self/gid_map", "0 " + group + " 1"));
  ROOKERY_TRY(run({"ip", "link", "add", "near", "type", "veth", "peer", "name", "far"}));
  for (const char* end : {"near", "far"}) {
    // Nothing but what the tests say is to be on the cable.
    (void)tell(std::string("/proc/sys/net/ipv6/conf/") + end + "/disable_ipv6", "1");
    ROOKERY_TRY(run({"ip", "link", "set", end, "up"}));
  }
  return {};
}

struct Namespaces {
  Namespaces() {
    if (const Status made = make_cable(); !made) {
      std::printf("skipped: cannot make network namespaces: %s\n", made.error().message.c_str());
      std::exit(77);
    }
  }
};
BOOST_TEST_GLOBAL_FIXTURE(Namespaces);

struct Cable {
  EventLoop loop{std::make_unique<WallPacer>()};
  Recorder at_near, at_far;
  std::unique_ptr<PacketPort> near = PacketPort::open(loop, "near").value();
  std::unique_ptr<PacketPort> far = PacketPort::open(loop, "far").value();

  Cable() {
    near->connect(at_near);
    far->connect(at_far);
    tick();
    BOOST_REQUIRE(has_link());
  }
  // The kernel takes its time to tell of a carrier, and until it does it drops frames: it is looked at again.
  void tick() {
    loop.after(std::chrono::milliseconds(10), [this] { tick(); });
  }
  bool has_link() {
    return loop.run_until([&] { return near->link() && far->link(); }, kLimit);
  }
  bool arrive(const Recorder& at, std::size_t count) {
    return loop.run_until([&] { return at.frames.size() >= count; }, kLimit);
  }
};

Frame tcp_super_frame() {
  const Frame small = Frame::copy(tcp_frame(kClient, 4000, kServer, 80, kAck, std::string(4000, 'x')));
  FrameBuilder builder(small.size());
  std::copy(small.bytes().begin(), small.bytes().end(), builder.bytes().begin());
  builder.offload() = {Offload::kNeedsChecksum, Offload::kSegmentsTcp4, 54, 1460, 34, 16};
  BOOST_REQUIRE(check_offload(small.bytes(), builder.offload()));
  return std::move(builder).freeze();
}

std::string refusal(const std::string& interface, ErrorKind kind) {
  EventLoop loop(std::make_unique<WallPacer>());
  const auto port = PacketPort::open(loop, interface);
  BOOST_REQUIRE(!port.has_value());
  BOOST_TEST((port.error().kind == kind));
  return port.error().message;
}

// A port that is told of interfaces, in the place of the cable's near end.
struct Announced : Cable {
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-ap-").value();
  std::filesystem::path socket = folder.path() / "nic";
  std::unique_ptr<AnnouncedPort> port = AnnouncedPort::listen(loop, socket).value();
  Recorder heard;

  Announced() {
    near.reset();
    port->connect(heard);
  }
  UniqueFd say(const std::string& name) {
    UniqueFd line = connect_unix(socket).value();
    BOOST_REQUIRE(send_with_files(line.get(), as_bytes(name), {}));
    return line;
  }
  bool becomes(bool connected) {
    return loop.run_until([&] { return port->connected() == connected; }, kLimit);
  }
  bool becomes_faulty() {
    return loop.run_until([&] { return !port->fault().empty(); }, kLimit);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(frames_under_any_address_pass_both_ways_and_do_not_come_back) {
  Cable cable;
  const Frame there = make_frame(machine(2), machine(1), 1514), back = make_frame(machine(1), machine(2));
  cable.near->send(there);
  BOOST_REQUIRE(cable.arrive(cable.at_far, 1));
  cable.far->send(back);
  BOOST_REQUIRE(cable.arrive(cable.at_near, 1));
  BOOST_TEST(copy_of(cable.at_far.frames[0]) == copy_of(there));
  BOOST_TEST(copy_of(cable.at_near.frames[0]) == copy_of(back));
  BOOST_TEST(cable.at_far.frames.size() == 1u);
  BOOST_TEST(cable.near->counters().to_wire == 1u);
  BOOST_TEST(cable.near->counters().from_wire == 1u);
}

BOOST_AUTO_TEST_CASE(vlan_tags_stay_on_frames) {
  Cable cable;
  const Frame tagged = make_frame(machine(2), machine(1)).tagged(VlanTag{0x600a});
  cable.near->send(tagged);
  BOOST_REQUIRE(cable.arrive(cable.at_far, 1));
  BOOST_TEST(copy_of(cable.at_far.frames[0]) == copy_of(tagged));
}

// Whole where the NIC cuts (here nobody needs to); with a tag we cut ourselves.
BOOST_AUTO_TEST_CASE(super_frames_arrive_with_all_that_they_stand_for) {
  const Frame whole = tcp_super_frame();
  Recorder wanted;
  send_finished(whole, wanted);
  for (const bool tagged : {false, true}) {
    Cable cable;
    Recorder cut;
    const VlanTag tag{7};
    cable.near->send(tagged ? Frame(whole).tagged(tag) : whole);
    BOOST_REQUIRE(cable.arrive(cable.at_far, tagged ? wanted.frames.size() : 1));
    for (const Frame& frame : cable.at_far.frames) send_finished(frame, cut);
    BOOST_REQUIRE(cut.frames.size() == wanted.frames.size());
    for (std::size_t i = 0; i < cut.frames.size(); ++i) {
      const Frame bare = tagged ? std::move(cut.frames[i]).untagged() : cut.frames[i];
      BOOST_TEST(copy_of(bare) == copy_of(wanted.frames[i]));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_the_wire_does_not_take_is_dropped_and_counted) {
  Cable cable;
  cable.near->send(make_frame(machine(2), machine(1), 4000));
  BOOST_TEST(cable.near->counters().dropped_long == 1u);
  BOOST_REQUIRE(run({"ip", "link", "set", "far", "down"}).has_value());
  BOOST_REQUIRE(cable.loop.run_until([&] { return !cable.near->link(); }, kLimit));
  BOOST_TEST(cable.near->link().error().message == "near has no carrier: is its cable plugged in?");
  BOOST_REQUIRE(run({"ip", "link", "set", "near", "down"}).has_value());
  BOOST_TEST(cable.near->link().error().message == "near is down");
  cable.near->send(make_frame(machine(2), machine(1)));
  BOOST_TEST(cable.near->counters().dropped_down == 1u);
  BOOST_TEST(refusal("near", ErrorKind::infrastructure) == "near is down; set it up: ip link set near up");
  for (const char* end : {"near", "far"}) BOOST_REQUIRE(run({"ip", "link", "set", end, "up"}).has_value());
  // The same port goes on when the NIC is back; its first frames fall into the time that the carrier takes.
  std::function<void()> say = [&] {
    cable.far->send(make_frame(machine(1), machine(2)));
    cable.loop.after(std::chrono::milliseconds(10), say);
  };
  say();
  BOOST_TEST(cable.arrive(cable.at_near, 1));
  BOOST_TEST(cable.has_link());
}

BOOST_AUTO_TEST_CASE(says_why_an_interface_cannot_be_had) {
  BOOST_TEST(
      refusal("eth9", ErrorKind::usage).starts_with("there is no network interface 'eth9'; there are: lo, "));
  BOOST_TEST(refusal(std::string(40, 'x'), ErrorKind::usage).starts_with("there is no network interface"));
  BOOST_TEST(refusal("lo", ErrorKind::usage) == "lo is no Ethernet interface");
}

BOOST_AUTO_TEST_CASE(says_which_capability_is_missing_and_how_to_give_it) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2]{};
    EventLoop loop(std::make_unique<WallPacer>());
    const bool dropped = ::syscall(SYS_capset, &header, none) == 0;
    const auto port = PacketPort::open(loop, "near");
    const bool good = dropped && !port && port.error().message.find("CAP_NET_RAW") != std::string::npos &&
                      port.error().message.find("setcap cap_net_raw+ep /") != std::string::npos;
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
}

BOOST_FIXTURE_TEST_CASE(an_announced_interface_is_the_ports_while_the_line_stands, Announced) {
  port->send(make_frame(machine(2), machine(1)));
  BOOST_TEST(port->dropped_absent() == 1u);
  UniqueFd line = say("near");
  BOOST_REQUIRE(becomes(true));
  port->send(make_frame(machine(2), machine(1)));
  BOOST_TEST(arrive(at_far, 1));
  far->send(make_frame(machine(1), machine(2)));
  BOOST_TEST(arrive(heard, 1));
  line.reset();
  BOOST_TEST(becomes(false));
  BOOST_TEST(port->fault() == "");
  port->send(make_frame(machine(2), machine(1)));
  BOOST_TEST(port->dropped_absent() == 2u);
}

BOOST_FIXTURE_TEST_CASE(the_last_interface_that_was_announced_is_the_one, Announced) {
  const UniqueFd first = say("near");
  BOOST_REQUIRE(becomes(true));
  const UniqueFd second = say("eth9");
  BOOST_REQUIRE(becomes_faulty());
  BOOST_TEST(port->fault().starts_with("there is no network interface 'eth9'"));
  BOOST_TEST(!port->connected());
  const UniqueFd third = say("near");
  BOOST_TEST(becomes(true));
  BOOST_TEST(port->fault() == "");
}

BOOST_FIXTURE_TEST_CASE(what_is_more_than_a_name_is_refused, Announced) {
  const UniqueFd line = say("near");
  BOOST_REQUIRE(becomes(true));
  BOOST_REQUIRE(send_with_files(line.get(), as_bytes(std::string_view("far")), {}));
  BOOST_REQUIRE(becomes_faulty());
  BOOST_TEST(port->fault() == "more than the name of an interface was said");
  BOOST_TEST(!port->connected());
  const UniqueFd longer = say(std::string(64, 'x'));
  BOOST_REQUIRE(loop.run_until([&] { return port->fault().starts_with("there is no"); }, kLimit));
}

BOOST_AUTO_TEST_CASE(the_socket_of_announcements_goes_with_its_port) {
  EventLoop loop(std::make_unique<WallPacer>());
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-ap-").value();
  {
    const auto port = AnnouncedPort::listen(loop, folder.path() / "nic");
    BOOST_REQUIRE(port.has_value());
    BOOST_TEST(!AnnouncedPort::listen(loop, folder.path() / "nic").has_value());
    BOOST_TEST(std::filesystem::exists(folder.path() / "nic"));
  }
  BOOST_TEST(!std::filesystem::exists(folder.path() / "nic"));
}

}  // namespace rookery::netsim
