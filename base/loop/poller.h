// File descriptors that wake the event loop (epoll, level-triggered). Owned by the loop.
#pragma once

#include <sys/epoll.h>

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "base/unique_fd.h"
#include "base/units.h"

namespace rookery {

using FdAction = std::function<void(std::uint32_t events)>;  // EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR

class Poller {
 public:
  Poller();

  // Starts watching; a descriptor is watched once. The caller keeps it open until remove().
  void add(int fd, std::uint32_t events, FdAction action);
  void modify(int fd, std::uint32_t events);
  void remove(int fd);
  bool empty() const { return actions_.empty(); }

  // Waits up to `timeout` (nullopt: for ever), then calls `awake` once and the action of each ready
  // descriptor, in the order of their numbers. Returns how many were ready; nothing if a signal came, or the
  // process was stopped and went on, before any was and before the time was over.
  std::optional<std::size_t> wait(std::optional<Duration> timeout, const std::function<void()>& awake);

 private:
  struct Entry {
    std::uint64_t generation;
    std::shared_ptr<FdAction> action;
  };
  UniqueFd epoll_;
  std::unordered_map<int, Entry> actions_;  // looked up only, never iterated
  std::uint64_t generation_ = 0;
};

}  // namespace rookery
