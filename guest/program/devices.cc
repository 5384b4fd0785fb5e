#include "guest/program/devices.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "guest/program/system.h"

namespace rookery::guest {
namespace {

// A processor that is emulated, and shared with many, has taken over a minute for all drivers of a PC.
constexpr Duration kPatience = std::chrono::minutes(10);

}  // namespace

Devices::Devices() {
  utsname kernel{};
  uname(&kernel);
  has_modules_ = access((std::string("/lib/modules/") + kernel.release).c_str(), R_OK) == 0;
  events_.reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1;  // lib/kobject_uevent.c: what the kernel says itself
  if (bind(events_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) events_.reset();
}

// A bus found by one round's modules (virtio by virtio_pci) brings the next round's devices.
void Devices::load_drivers() {
  if (!has_modules_) return;
  for (int round = 0; round < 4; ++round) {
    for (const std::string& bus : list_folder("/sys/bus")) {
      const std::string devices = "/sys/bus/" + bus + "/devices/";
      for (const std::string& device : list_folder(devices)) {
        std::string alias = read_text(devices + device + "/modalias").value_or("");
        while (!alias.empty() && alias.back() == '\n') alias.pop_back();
        if (!alias.empty() && asked_.insert(alias).second) new_.push_back(alias);
      }
    }
    if (new_.empty()) return;
    std::vector<std::string> argv{"/bin/busybox", "modprobe", "-a", "-q"};
    argv.insert(argv.end(), new_.begin(), new_.end());
    new_.clear();
    (void)run_program(argv, kPatience);  // a device without a driver is no failure
  }
}

bool Devices::wait_for_more(Time until) {
  if (!has_modules_ || !events_) return false;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - now()).count();
  pollfd waiting{events_.get(), POLLIN, 0};
  if (left <= 0 || poll(&waiting, 1, static_cast<int>(std::min<long long>(left, 1 << 30))) <= 0) return false;
  forget_news();  // what they are stands in /sys; that there were too many for the socket is as good as one
  return true;
}

void Devices::load(const std::string& module) {
  if (has_modules_) (void)run_program({"/bin/busybox", "modprobe", "-q", module}, kPatience);
}

void Devices::forget_news() {
  char event[4096];
  while (recv(events_.get(), event, sizeof event, 0) > 0) {
  }
}

Result<std::string> Devices::wait_for_disk(const std::function<bool(std::string_view)>& is_it,
                                           Duration limit) {
  const Time end = now() + limit;
  char news[8192];
  for (Time at = now(); at < end; at = now()) {
    pollfd waiting{events_.get(), POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - at);
    if (poll(&waiting, 1, static_cast<int>(left.count())) <= 0) continue;
    const ssize_t size = recv(events_.get(), news, sizeof news, 0);
    if (size <= 0) continue;
    // "add@/devices/…/block/sda", and then NAME=value, each ended by a zero.
    const std::string_view all(news, static_cast<std::size_t>(size)), head = all.substr(0, all.find('\0'));
    if (!head.starts_with("add@") || head.find("/block/") == std::string_view::npos) continue;
    constexpr std::string_view kName{"\0DEVNAME=", 9};
    const std::size_t name = all.find(kName);
    if (name == std::string_view::npos || !is_it(head.substr(4))) continue;
    const std::string_view rest = all.substr(name + kName.size());
    return "/dev/" + std::string(rest.substr(0, rest.find('\0')));
  }
  return fail("no such disk appeared");
}

}  // namespace rookery::guest
