// What an endpoint does with queues: where they lie, when they run, how each side tells the other.
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "base/vhost_user/endpoint.h"

namespace rookery::vhost_user {
namespace {

// A descriptor of anything else could block us, kill us (a pipe by SIGPIPE) or not be watched at all.
bool is_event_descriptor(const UniqueFd& file) {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file.get()), error) ==
         "anon_inode:[eventfd]";
}

}  // namespace

Status Endpoint::ring_exists(std::uint32_t index) const {
  if (index >= rings_.size()) return fail("vhost-user: there is no queue " + std::to_string(index));
  return {};
}

Status Endpoint::set_memory(ByteView payload) {
  auto regions = parse_memory_table(payload);
  if (!regions) return tl::unexpected<Error>(regions.error());
  auto memory = GuestMemory::map(*regions, std::exchange(received_files_, {}));
  if (!memory) return tl::unexpected<Error>(memory.error());
  std::vector<bool> ran;
  for (Ring& ring : rings_) {
    ran.push_back(ring.queue.running());
    ring.queue.stop();
  }
  memory_ = std::move(*memory);
  // A machine's memory can change while it runs: its queues are still where they were.
  for (std::size_t i = 0; i < rings_.size(); ++i) {
    if (ran[i]) ROOKERY_TRY(rings_[i].queue.start(*memory_, *rings_[i].addresses));
  }
  return {};
}

// The order in which a driver names a queue's parts differs: QEMU enables its queues before they are
// anywhere.
Status Endpoint::enable(unsigned queue, bool enabled) {
  Ring& ring = rings_[queue];
  ring.enabled = enabled;
  if (!enabled) {
    ring.queue.stop();
    return {};
  }
  if (memory_ && ring.addresses) return start(queue);
  return {};
}

Status Endpoint::start(unsigned queue) {
  Ring& ring = rings_[queue];
  ROOKERY_TRY(ring.queue.start(*memory_, *ring.addresses));
  model_.queue_started(queue);
  ring.paused = false;
  return {};
}

Status Endpoint::handle_ring_file(Request request, ByteView payload) {
  const auto named = parse_vring_file(payload);
  if (!named) return tl::unexpected<Error>(named.error());
  ROOKERY_TRY(ring_exists(named->index));
  UniqueFd file;
  if (named->has_file) {
    if (lane_ != nullptr) return fail("vhost-user: a descriptor for notifications, in lockstep");
    auto taken = take_file();
    if (!taken) return tl::unexpected<Error>(taken.error());
    file = std::move(*taken);
    if (!is_event_descriptor(file)) return fail("vhost-user: a notification that is no event descriptor");
    if (const auto can = loop_.signaller(); !can) return tl::unexpected<Error>(can.error());
  }
  Ring& ring = rings_[named->index];
  if (request == Request::set_vring_call) {
    ring.call = std::move(file);
  } else if (request == Request::set_vring_kick) {
    ring.kick_watch.stop();
    ring.kick = std::move(file);
    if (!ring.kick) return {};
    ring.kick_watch = loop_.watch(ring.kick.get(), EPOLLIN,
                                  [this, index = named->index](std::uint32_t) { kick_readable(index); });
    if (!ring.enabled || !memory_ || !ring.addresses) return {};
    ROOKERY_TRY(start(named->index));
    return kick_said(named->index);  // of what is there already nobody will tell
  }
  return {};
}

void Endpoint::kick_readable(unsigned queue) {
  if (!take_event(rings_[queue].kick.get())) return;
  kicks_pending_ |= 1ull << queue;
  work();
}

Status Endpoint::handle_ring(std::uint32_t request, ByteView payload, ByteBuffer& reply) {
  if (static_cast<Request>(request) == Request::set_vring_addr) {
    auto addresses = parse_vring_addresses(payload);
    if (!addresses) return tl::unexpected<Error>(addresses.error());
    ROOKERY_TRY(ring_exists(addresses->index));
    rings_[addresses->index].addresses = *addresses;
    return {};
  }
  auto state = parse_vring_state(payload);
  if (!state) return tl::unexpected<Error>(state.error());
  ROOKERY_TRY(ring_exists(state->index));
  Ring& ring = rings_[state->index];
  switch (static_cast<Request>(request)) {
    case Request::set_vring_num:
      return ring.queue.set_size(state->number);
    case Request::set_vring_base:
      if (state->number != ring.queue.next()) ring.paused = false;
      ring.queue.set_next(static_cast<std::uint16_t>(state->number));
      return {};
    case Request::get_vring_base: {
      ByteWriter answer;
      answer.le32(state->index).le32(ring.queue.next());
      reply = encode(request, kFlagReply, answer.buffer());
      if (call_event_) send_calls();  // of what the driver is about to find used
      ring.paused = ring.queue.running();
      ring.queue.stop();
      ring.addresses.reset();  // the next start names them anew
      ring.kick_watch.stop();
      ring.kick.reset();
      return {};
    }
    case Request::set_vring_enable:
      return enable(state->index, state->number != 0);
    case Request::vring_kick:
      return kick_said(state->index);
    default:
      return fail("vhost-user: a request that cannot be here");
  }
}

// In its place among the messages, where time and the turn allow it.
Status Endpoint::kick_said(unsigned index) {
  if (lane_ == nullptr && budget().left()) return kicked(index);
  kicks_pending_ |= 1ull << index;
  if (lane_ == nullptr) go_on();
  return {};
}

Status Endpoint::kicked(unsigned index) {
  const Virtqueue& queue = rings_[index].queue;
  if (queue.running()) model_.kicked(index);
  if (queue.broken()) return fail("vhost-user: the guest's queue is wrong: " + queue.fault());
  if (memory_ && memory_->damaged()) return fail("vhost-user: the guest took its memory away");
  return {};
}

void Endpoint::call(unsigned queue) {
  const Ring& ring = rings_[queue];
  if ((!slave_ && !ring.call) || !ring.queue.wants_call()) return;
  calls_pending_ |= 1ull << queue;
  if (lane_ != nullptr) return lane_->poke();
  if (!call_event_) call_event_ = loop_.soon([this] { send_calls(); });
}

void Endpoint::send_calls() {
  call_event_ = {};
  for (unsigned queue = 0; calls_pending_ != 0; ++queue) {
    const std::uint64_t bit = 1ull << queue;
    if ((calls_pending_ & bit) == 0) continue;
    if (rings_[queue].call) {
      if (const auto signaller = loop_.signaller()) (*signaller)->signal(rings_[queue].call.get());
      calls_pending_ &= ~bit;
      continue;
    }
    ByteWriter state;
    state.le32(queue).le32(0);
    const ByteBuffer message = encode(kSlaveVringCall, 0, state.buffer());
    const ssize_t sent = ::send(slave_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN) {
      // The guest is slow to read: the call goes out when there is room, or before its next grant.
      if (lane_ == nullptr) slave_watch_.want(EPOLLIN | EPOLLOUT);
      return;
    }
    calls_pending_ &= ~bit;  // a guest that is gone shows on the connection
  }
}

void Endpoint::slave_readable() {
  if (lane_ == nullptr && calls_pending_ != 0 && !call_event_) {
    slave_watch_.want(EPOLLIN);
    send_calls();
  }
  std::array<std::uint8_t, 4096> block;
  const ssize_t got = ::recv(slave_.get(), block.data(), block.size(), MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
    slave_watch_.stop();  // the end shows on the connection as well
  }
}

}  // namespace rookery::vhost_user
