// Our switch beside vde_switch over real sockets, each a process of its own, on the same work: two cables, on
// each of them 500 random addresses; frames from one to the other, a window of them on their way. What counts
// is the frames for each second of the switch's own processor time, so that others on the host do not. Our
// cables are vhost-user ports with a polling driver at each end (as a busy guest is one); vde_switch's are
// the unix datagram sockets of libvdeplug.
//
//   bench_wire          exit code 1 if ours is less than three times as fast
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>

#include "base/file.h"
#include "base/loop/event_loop.h"
#include "base/random.h"
#include "netsim/ports/vhost_net.h"
#include "netsim/switch.h"
#include "tests/bench/bench.h"
#include "tests/support/vhost_driver.h"

extern "C" {
#include <libvdeplug.h>
}

namespace {

using namespace rookery;
using namespace rookery::netsim;
namespace fs = std::filesystem;

constexpr std::size_t kAddresses = 500, kFrames = 200'000;
constexpr double kBar = 3;

// A child that dies with us. Ends with the object.
class Child {
 public:
  explicit Child(const std::function<void()>& body) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    ::_exit(1);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  double processor_seconds() const {
    clockid_t clock{};
    timespec used{};
    if (::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &used) != 0)
      give_up("the switch has ended");
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
  }

 private:
  pid_t pid_;
};

// One end of a cable, whatever it is made of.
class Cable {
 public:
  virtual ~Cable() = default;
  virtual std::size_t window() const = 0;  // frames that may be on their way
  virtual void send(ByteView frame) = 0;   // perhaps only noted
  virtual void flush() = 0;                // now it is on its way
  virtual std::size_t receive() = 0;       // frames that have come since
};

// A vhost-user driver that polls (virtio 1.2 §2.7, §5.1.6): queue 0 receives, queue 1 sends.
class Driver final : public Cable {
  static constexpr std::uint32_t kQueue = 256, kBuffer = 2048, kHeader = 12;
  static constexpr std::uint64_t kBase = 0x1000, kRings = 0x4000, kBuffers = 0x10000, kMemory = 2 << 20;

 public:
  explicit Driver(const fs::path& socket) : device_(socket, kMemory, kBase), memory_(device_.memory()) {
    device_.ask(vhost_user::Request::set_features, ByteWriter().le64(1ull << 32 | 1ull << 30).take());
    device_.share_memory();
    for (std::uint32_t queue = 0; queue < 2; ++queue) {
      device_.enable(queue, kQueue, queue * kRings);
      *flags(queue) = 1;  // no calls: this driver polls
      for (std::uint32_t i = 0; i < kQueue; ++i) {
        const std::uint64_t address = kBase + buffer_at(queue, i);
        const std::uint32_t length = kBuffer;
        const std::uint16_t writable = queue == 0 ? 2 : 0;
        std::uint8_t* descriptor = memory_ + queue * kRings + std::size_t{16} * i;
        std::memcpy(descriptor, &address, 8);
        std::memcpy(descriptor + 8, &length, 4);
        std::memcpy(descriptor + 12, &writable, 2);
        if (queue == 0) offer(0, static_cast<std::uint16_t>(i));
      }
    }
    device_.kick(0);
  }

  std::size_t window() const override { return kQueue - 64; }
  void send(ByteView frame) override {
    const auto id = static_cast<std::uint16_t>(available_[1] % kQueue);
    std::uint8_t* descriptor = memory_ + kRings + std::size_t{16} * id;
    const auto length = static_cast<std::uint32_t>(kHeader + frame.size());
    std::memcpy(descriptor + 8, &length, 4);
    std::memcpy(memory_ + buffer_at(1, id) + kHeader, frame.data(), frame.size());
    offer(1, id);
  }
  void flush() override { device_.kick(1); }
  std::size_t receive() override {
    std::size_t count = 0;
    while (used_ != std::atomic_ref(*word(0x2002)).load(std::memory_order_acquire)) {
      offer(0, static_cast<std::uint16_t>(*word(0x2004 + 8ul * (used_ % kQueue))));
      ++used_;
      ++count;
    }
    if (count > 0 && (*word(0x2000) & 1) == 0) device_.kick(0);
    return count;
  }

 private:
  static std::uint64_t buffer_at(std::uint32_t queue, std::uint32_t id) {
    return kBuffers + (std::uint64_t{queue} * kQueue + id) * kBuffer;
  }
  std::uint16_t* word(std::size_t at) { return reinterpret_cast<std::uint16_t*>(memory_ + at); }
  std::uint16_t* flags(std::uint32_t queue) { return word(queue * kRings + 0x1000); }
  void offer(std::uint32_t queue, std::uint16_t id) {
    *word(queue * kRings + 0x1004 + 2ul * (available_[queue] % kQueue)) = id;
    std::atomic_ref(*word(queue * kRings + 0x1002)).store(++available_[queue], std::memory_order_release);
  }

  VhostDriver device_;
  std::uint8_t* memory_;
  std::uint16_t available_[2] = {}, used_ = 0;
};

class VdeCable final : public Cable {
 public:
  explicit VdeCable(const fs::path& folder)
      : connection_(vde_open(const_cast<char*>(("vde://" + folder.string()).c_str()),
                             const_cast<char*>("bench"), nullptr)) {
    if (connection_ == nullptr) give_up("vde_switch does not answer");
    const auto most = read_file("/proc/sys/net/unix/max_dgram_qlen");
    // What a socket holds beyond this is dropped by vde_switch.
    if (most) window_ = std::clamp<std::size_t>(std::stoul(*most), 1, 192);
  }
  ~VdeCable() override { vde_close(connection_); }
  std::size_t window() const override { return window_; }
  void send(ByteView frame) override {
    if (vde_send(connection_, frame.data(), frame.size(), 0) < 0) give_up("vde_switch takes no frame");
  }
  void flush() override {}
  std::size_t receive() override {
    std::size_t count = 0;
    char block[2048];
    for (pollfd ready{vde_datafd(connection_), POLLIN, 0}; ::poll(&ready, 1, 0) > 0; ++count)
      (void)vde_recv(connection_, block, sizeof block, 0);
    return count;
  }

 private:
  VDECONN* connection_;
  std::size_t window_ = 10;
};

ByteBuffer frame_of(MacAddress to, MacAddress from, std::size_t size) {
  ByteBuffer frame(size, 0x5a);
  to.write(frame.data());
  from.write(frame.data() + 6);
  frame[12] = 0x08;
  frame[13] = 0x00;
  return frame;
}

// Frames for each second of the switch's processor time.
double work(const Child& child, Cable& from, Cable& to, std::size_t size) {
  Random random(1, "wire");
  std::vector<MacAddress> here, there;
  for (auto* side : {&here, &there}) {
    for (std::size_t i = 0; i < kAddresses; ++i)
      side->push_back(MacAddress::from_bits((random.next() & 0xfeff'ffff'ffff) | 0x0200'0000'0000));
  }
  std::size_t sent = 0, received = 0;
  const auto exchange = [&](Cable& sender, Cable& receiver, std::size_t count, const auto& next) {
    sent = received = 0;
    while (received < count) {
      const std::size_t burst = std::min(count - sent, sender.window() - (sent - received));
      for (std::size_t i = 0; i < burst; ++i) sender.send(next());
      if (burst > 0) sender.flush();
      sent += burst;
      const std::size_t now = receiver.receive();
      received += now;
      if (now == 0 && burst == 0) ::sched_yield();
    }
  };
  std::size_t n = 0;
  exchange(to, from, kAddresses, [&] { return frame_of(MacAddress::broadcast(), there[n++], size); });
  n = 0;
  exchange(from, to, kAddresses, [&] {
    const std::size_t i = n++;
    return frame_of(there[i], here[i], size);
  });
  std::vector<ByteBuffer> frames;
  for (std::size_t i = 0; i < 1024; ++i)
    frames.push_back(frame_of(there[random.below(kAddresses)], here[random.below(kAddresses)], size));
  const double before = child.processor_seconds();
  exchange(from, to, kFrames, [&]() -> const ByteBuffer& { return frames[n++ % frames.size()]; });
  return static_cast<double>(kFrames) / (child.processor_seconds() - before);
}

double ours(const fs::path& folder, std::size_t size) {
  const fs::path sockets[] = {folder / "a", folder / "b"};
  const Child child([&] {
    EventLoop loop(std::make_unique<WallPacer>());
    SwitchRules rules;
    rules.dhcp_snooping = rules.arp_suppression = rules.mld_snooping = true;
    Switch network(loop, rules);
    std::vector<std::unique_ptr<VhostNetPort>> ports;
    for (const fs::path& socket : sockets) {
      auto port = VhostNetPort::listen(loop, socket, MacAddress::from_bits(0x020000000001));
      if (!port) give_up(port.error().message);
      ports.push_back(std::move(*port));
      ports.back()->connect(network.attach(socket.filename(), *ports.back()));
    }
    loop.run();
  });
  while (!fs::exists(sockets[1])) ::sched_yield();
  Driver a(sockets[0]), b(sockets[1]);
  const double speed = work(child, a, b, size);
  for (const fs::path& socket : sockets) fs::remove(socket);
  return speed;
}

double vde(const fs::path& folder, std::size_t size) {
  const fs::path switch_folder = folder / "vde";
  const Child child([&] {
    const int null = ::open("/dev/null", O_RDWR);
    int keep[2];
    if (::pipe(keep) != 0) return;  // an input that says nothing and does not end
    ::dup2(keep[0], 0);
    ::dup2(null, 1);
    ::execlp("vde_switch", "vde_switch", "--sock", switch_folder.c_str(), nullptr);
  });
  while (!fs::exists(switch_folder / "ctl")) ::sched_yield();
  VdeCable a(switch_folder), b(switch_folder);
  return work(child, a, b, size);
}

}  // namespace

int main() {
  if (std::system("command -v vde_switch >/dev/null") != 0)
    give_up("there is no vde_switch (Debian package vde2)");
  const auto made = TemporaryFolder::make(fs::temp_directory_path(), "rookery-wire");
  if (!made) give_up(made.error().message);
  const TemporaryFolder& folder = *made;
  bool good = true;
  fmt::print("frames for each second of the switch's processor, over real sockets, {} addresses\n",
             2 * kAddresses);
  for (const std::size_t size : {std::size_t{64}, std::size_t{1500}}) {
    const double our = ours(folder.path(), size), theirs = vde(folder.path(), size);
    const bool met = our >= kBar * theirs;
    good = good && met;
    fmt::print("  {:4} octets: ours {:10.0f}, vde_switch {:10.0f}: {:5.2f} times   bar {:g}: {}\n", size, our,
               theirs, our / theirs, kBar, met ? "good" : "MISSED");
    std::fflush(stdout);
    fs::remove_all(folder.path() / "vde");
  }
  return good ? 0 : 1;
}
