// The machine's devices, of which nothing is known in advance: loads drivers for those that are there and
// waits for those that come late (disks behind USB and SCSI controllers, which look for them after they are
// ready). Owned by stage two. User-Mode Linux has no modules, and all its devices from the start.
#pragma once

#include <set>
#include <string>
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

 private:
  bool has_modules_ = false;
  UniqueFd events_;  // the kernel's, from the beginning
  std::set<std::string> asked_;
  std::vector<std::string> new_{"nbd", "squashfs", "overlay", "loop", "isofs"};  // to be loaded next
};

}  // namespace rookery::guest
