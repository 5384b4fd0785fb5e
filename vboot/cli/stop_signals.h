// The signals that ask a command to end (SIGINT, SIGTERM, SIGHUP), as events of its loop. One that was
// ignored when the program began stays so: `nohup` means SIGHUP, a script's background job SIGINT. (SIGTERM
// never is: settle_inheritance().) Owned by the command and outlived by the loop.
#pragma once

#include <signal.h>

#include <functional>

#include "base/loop/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery::vboot {

class StopSignals {
 public:
  // From here on one that comes waits for watch(): for what would be left behind if the program ended at
  // once.
  static sigset_t hold();
  // Calls `asked` for each time that one came. Only once for each object.
  Status watch(EventLoop& loop, std::function<void()> asked);

 private:
  UniqueFd descriptor_;
  Watch watch_;
};

}  // namespace rookery::vboot
