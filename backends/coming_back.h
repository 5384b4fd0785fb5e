// How a machine that is switched off comes back: with nothing, as after a reset, or from a snapshot. Owned by
// its machine, which says when it is off and does the starting.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "backends/backend.h"

namespace rookery::backends {

// `Snapshot` is what the machine starts from: a value that is false or empty for a reset.
template <typename Snapshot>
class ComingBack {
 public:
  struct How {
    std::string reason;
    Snapshot snapshot{};
    Snapshots::Done done{};
  };

  ComingBack(EventLoop& loop, std::function<void(How)> start) : loop_(loop), start_(std::move(start)) {}
  ~ComingBack() { loop_.cancel(next_); }
  ComingBack(const ComingBack&) = delete;
  ComingBack& operator=(const ComingBack&) = delete;

  explicit operator bool() const { return how_.has_value(); }
  const std::string& reason() const { return how_->reason; }

  void plan(How how) { how_ = std::move(how); }
  // The machine is off: starts it, from the loop, if that is planned.
  void now() {
    if (how_) next_ = loop_.soon([this] { start_(std::move(*std::exchange(how_, std::nullopt))); });
  }
  // It stays off. Who waits for a restored machine is told, from the loop.
  void not_any_more(const std::string& machine) {
    loop_.cancel(next_);
    if (how_ && how_->done) {
      next_ = loop_.soon([done = std::move(how_->done), machine] {
        done(fail(ErrorKind::expectation, machine + " went off, or was reset, before it was restored"));
      });
    }
    how_.reset();
  }

 private:
  EventLoop& loop_;
  std::function<void(How)> start_;
  std::optional<How> how_;
  EventId next_;
};

}  // namespace rookery::backends
