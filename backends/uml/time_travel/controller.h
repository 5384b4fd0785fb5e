// Grants time to one guest under external time travel. What the guest asks for becomes events in the run's
// one queue: to run at time t is an event at t; while the guest runs it holds the queue's time
// (base/pacer.h); when it waits it lets go. So guests, switch, disks and timers are ordered by one queue, and
// nothing else had to change for them.
//
// Owned by the guest's machine. A guest that restarts connects again and is taken back.
#pragma once

#include <filesystem>
#include <memory>

#include "backends/uml/time_travel/protocol.h"
#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery::backends::time_travel {

// What the guests' clocks show at the run's time zero: 2026-01-01 00:00:00 UTC, the same in every run.
constexpr std::uint64_t kTimeOfDayAtStart = 1'767'225'600ull * 1'000'000'000ull;

class Controller {
 public:
  static Result<std::unique_ptr<Controller>> listen(EventLoop& loop, const std::filesystem::path& socket);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  void starting();  // its process is about to run: time stands still until it waits for the first time
  void ended();     // its process is gone

 private:
  Controller(EventLoop& loop, std::filesystem::path path) : loop_(loop), path_(std::move(path)) {}

  void accept();
  void readable();
  void handle(const Message& message);
  void answer(const Message& message, std::uint64_t time);
  void request(std::uint64_t guest_time);
  void grant();
  std::uint64_t guest_now() const;
  void send(const Message& message);

  EventLoop& loop_;
  std::filesystem::path path_;
  UniqueFd listener_, connection_;
  Watch listener_watch_, connection_watch_;
  ByteBuffer input_;
  Time started_{};  // the guest's own zero
  EventId requested_;
  Hold running_;
  std::uint32_t sequence_ = 0;
};

}  // namespace rookery::backends::time_travel
