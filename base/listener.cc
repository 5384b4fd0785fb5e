#include "base/listener.h"

#include <cerrno>

#include "base/unix_socket.h"

namespace rookery {

Listener::Listener(EventLoop& loop, UniqueFd socket, OnPeer on_peer)
    : loop_(loop), on_peer_(std::move(on_peer)), socket_(std::move(socket)) {
  watch_ = loop_.watch(socket_.get(), EPOLLIN, [this](std::uint32_t) { look(); });
}

void Listener::look() {
  UniqueFd peer = accept_unix(socket_.get());
  if (peer) {
    const OnPeer tell = on_peer_;  // it may end us
    return tell(std::move(peer));
  }
  if (!has_no_room_for_peer(errno)) return;
  watch_.want(0);
  timer_ = loop_.after(kRest, [this] {
    timer_ = {};
    watch_.want(EPOLLIN);
  });
}

}  // namespace rookery
