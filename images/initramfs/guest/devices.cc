#include "images/initramfs/guest/devices.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "images/initramfs/guest/system.h"

namespace rookery::guest {

Devices::Devices() {
  utsname kernel{};
  uname(&kernel);
  has_modules_ = access((std::string("/lib/modules/") + kernel.release).c_str(), R_OK) == 0;
  if (!has_modules_) return;
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
    (void)run_program(argv, std::chrono::minutes(1));  // a device without a driver is no failure
  }
}

bool Devices::wait_for_more(Time until) {
  if (!events_) return false;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - now()).count();
  pollfd waiting{events_.get(), POLLIN, 0};
  if (left <= 0 || poll(&waiting, 1, static_cast<int>(std::min<long long>(left, 1 << 30))) <= 0) return false;
  // What they are stands in /sys; that there were too many for the socket is as good as one.
  char event[4096];
  while (recv(events_.get(), event, sizeof event, 0) > 0) {
  }
  return true;
}

}  // namespace rookery::guest
