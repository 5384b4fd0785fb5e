// A unix socket that others connect to, on the event loop. When no descriptor is left for a peer, the socket
// stays ready and nothing can take him: instead of asking again and again it waits a moment, and he with it.
#pragma once

#include <functional>

#include "base/loop/event_loop.h"
#include "base/unique_fd.h"

namespace rookery {

class Listener {
 public:
  static constexpr Duration kRest = std::chrono::milliseconds(100);
  // Called for each peer, with a descriptor that does not block. It may destroy the listener.
  using OnPeer = std::function<void(UniqueFd)>;

  // Of a socket that listens already and does not block: listen_unix().
  Listener(EventLoop& loop, UniqueFd socket, OnPeer on_peer);
  ~Listener() { loop_.cancel(timer_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void look();  // whether somebody waits: at once, and not when the loop comes to it

 private:
  EventLoop& loop_;
  OnPeer on_peer_;
  UniqueFd socket_;
  Watch watch_;
  EventId timer_;
};

}  // namespace rookery
