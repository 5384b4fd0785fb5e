// The machine's devices, of which nothing is known in advance: loads drivers for those that are there and
// waits for those that come late (disks behind USB and SCSI controllers, which look for them after they are
// ready). Owned by stage two. User-Mode Linux has no modules, and all its devices but those of the network
// from the start.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "base/units.h"

namespace rookery::guest {

class Devices {
 public:
  Devices();

  // What the devices ask for by now, and what stage two itself needs.
  void load_drivers();
  // Until the kernel tells of another device, or the time has come; false: nothing came.
  bool wait_for_more(Time until);
  // One driver by name: what is built in, or is not there, is no failure, for what needs it says so.
  void load(const std::string& module);
  // For disks that something is about to bring (a login, a question): forgets what is past, then the device
  // of the first new disk whose path below /sys `is_it` accepts ("/devices/…/block/sda").
  void forget_news();
  Result<std::string> wait_for_disk(const std::function<bool(std::string_view)>& is_it, Duration limit);

 private:
  bool has_modules_ = false;
  UniqueFd events_;  // the kernel's, from the beginning
  std::set<std::string> asked_;
  std::vector<std::string> new_{"nbd", "squashfs", "overlay", "loop", "isofs"};  // to be loaded next
};

}  // namespace rookery::guest
