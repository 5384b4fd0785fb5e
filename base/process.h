// A child process that is owned: it is killed when its object goes, it dies when we die, and its end is an
// event on the loop (by pidfd, so a recycled process number can never be hit).
#pragma once

#include <sys/types.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/confinement.h"
#include "base/file.h"
#include "base/loop/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery {

struct ExitStatus {
  int code = 0;    // exit code, if it ended by itself
  int signal = 0;  // or the signal that ended it
  bool clean() const { return code == 0 && signal == 0; }
  std::string describe() const;  // "exit code 3", "killed by signal 9 (Killed)"
};

struct ProcessSpec {
  std::vector<std::string> argv;                   // argv[0] is a path
  std::map<std::string, std::string> environment;  // the whole of it: nothing of ours is inherited
  std::filesystem::path folder;                    // working folder
  int input = -1, output = -1, errors = -1;        // descriptors of the caller; -1 is /dev/null
  // Without what its host has of these walls a confined child does not start: it says what failed on `errors`
  // and ends with 125.
  bool confined = false;
  Confinement confinement;
};

// A pipe to a child, or from it; the end on our side does not block.
struct ChildPipe {
  UniqueFd ours, its;

  Status make(bool to_child);
};

class ChildProcess {
 public:
  // `on_exit` is called once, from the loop, unless the object is gone by then.
  static Result<std::unique_ptr<ChildProcess>> start(EventLoop& loop, const ProcessSpec& spec,
                                                     std::function<void(ExitStatus)> on_exit);
  ~ChildProcess();  // kills it and waits until nothing of its process group is left
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool running() const { return running_; }
  void signal(int number);      // no effect once it has ended
  void signal_all(int number);  // likewise, to it and its process group
  void kill() { signal_all(SIGKILL); }

 private:
  ChildProcess() = default;
  void reap();
  std::optional<ExitStatus> end_group();

  pid_t pid_ = -1;
  bool running_ = true;
  UniqueFd pidfd_;
  Watch watch_;
  std::function<void(ExitStatus)> on_exit_;
};

// A process of ours that waits until we are gone, however we went. If none of the folders stands by then,
// that was an orderly end, and it does nothing. Otherwise it ends what our children left running with a
// working folder in one of them, removes those that stand, and runs `last` (a path and arguments, with our
// environment), if there is one: what ends that which is not a child of ours. Until then it holds the claims.
// Returned is our end of the line to it: it acts when that is closed. Call it before other descriptors
// matter.
Result<UniqueFd> start_janitor(const std::vector<const ClaimedFolder*>& folders,
                               const std::vector<std::string>& last = {});

// What a janitor does with a folder, for one that has none any more.
void clear_away(const std::vector<const ClaimedFolder*>& folders);

}  // namespace rookery
