// Snapshots of a QEMU machine: migration to a file and from one. QEMU may open no such file and start no
// program, so it is handed the open file over QMP. Owned by its machine, which tells it of QEMU's events and
// end.
#pragma once

#include <qmp/qmp.h>

#include <deque>
#include <filesystem>
#include <string>

#include "backends/backend.h"
#include "backends/qemu/qmp_link.h"

namespace rookery::backends {

// QEMU then waits for the state that it is to take up.
inline constexpr const char* kIncoming[] = {"-incoming", "defer"};

class QemuSnapshots {
 public:
  QemuSnapshots(EventLoop& loop, QmpLink& link) : loop_(loop), link_(link) {}
  ~QemuSnapshots() { loop_.cancel(end_); }
  QemuSnapshots(const QemuSnapshots&) = delete;
  QemuSnapshots& operator=(const QemuSnapshots&) = delete;

  // As Snapshots::take, of a QEMU that runs: at the end `done`, and then `go_on`.
  Status take(const std::filesystem::path& file, Snapshots::Done done, Action go_on);
  // Of a QEMU that was just started with kIncoming: when it has the state, or cannot have it, likewise.
  void load(UniqueFd file, Snapshots::Done done, Action go_on);

  void event(const qmp::Event& event);
  void ended(const std::string& reason);  // QEMU did

 private:
  void begin(UniqueFd file, std::deque<qmp::Command> steps, Snapshots::Done done, Action go_on);
  void next_step();
  void ask_why();
  void closed();
  void finish(const Status& status);

  EventLoop& loop_;
  QmpLink& link_;
  std::deque<qmp::Command> steps_;  // to come
  UniqueFd opened_;                 // until QEMU is given it
  std::filesystem::path file_;      // that is being written
  UniqueFd closes_;                 // inotify: that QEMU has closed it
  Watch closes_watch_;
  bool completed_ = false;
  Snapshots::Done done_;  // none: nothing is going on
  Action go_on_;
  EventId end_;
};

}  // namespace rookery::backends
