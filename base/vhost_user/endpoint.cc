#include "base/vhost_user/endpoint.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/unix_socket.h"

namespace rookery::vhost_user {
namespace {

constexpr std::size_t kFilesLimit = kRegionsLimit;
constexpr std::size_t kInputLimit = 1 << 16;

// A descriptor of anything else could block us, kill us (a pipe by SIGPIPE) or not be watched at all.
bool is_event_descriptor(const UniqueFd& file) {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file.get()), error) ==
         "anon_inode:[eventfd]";
}

bool is_socket(const UniqueFd& file) {
  struct stat status {};
  return ::fstat(file.get(), &status) == 0 && S_ISSOCK(status.st_mode);
}

}  // namespace

Result<std::unique_ptr<Endpoint>> Endpoint::listen(EventLoop& loop, const std::filesystem::path& path,
                                                   DeviceModel& model, Lane* lane) {
  auto listening = listen_unix(path);
  if (!listening) return tl::unexpected<Error>(listening.error());
  std::unique_ptr<Endpoint> endpoint(new Endpoint(loop, model, path, lane));
  endpoint->listener_ = std::make_unique<Listener>(
      loop, std::move(*listening), [raw = endpoint.get()](UniqueFd peer) { raw->accept(std::move(peer)); });
  endpoint->rings_.resize(model.queue_count());
  if (lane != nullptr) lane->attach(*endpoint);
  return endpoint;
}

Endpoint::~Endpoint() {
  if (lane_ != nullptr) lane_->detach(*this);
  loop_.cancel(call_event_);
  ::unlink(path_.c_str());
}

// A machine that restarts connects again; its new connection replaces the old.
void Endpoint::accept(UniqueFd peer) {
  if (connection_) drop("");
  connection_ = std::move(peer);
  fault_.clear();
  connection_watch_ = loop_.watch(connection_.get(), EPOLLIN, [this](std::uint32_t) { readable(); });
}

void Endpoint::drop(std::string fault) {
  fault_ = std::move(fault);
  loop_.cancel(call_event_);
  call_event_ = {};
  connection_watch_.stop();
  slave_watch_.stop();
  connection_.reset();
  slave_.reset();
  input_.clear();
  received_files_.clear();
  features_ = protocol_features_ = 0;
  for (Ring& ring : rings_) {
    ring.kick_watch.stop();
    ring = Ring();
  }
  memory_.reset();
  calls_pending_ = kicks_pending_ = 0;
  model_.disconnected();
}

void Endpoint::readable() {
  const auto status = receive();
  if (!status) drop(status.error().message);
}

Status Endpoint::receive() {
  for (;;) {
    std::array<std::uint8_t, 4096> block;
    const std::size_t files_before = received_files_.size();
    const ssize_t got = receive_with_files(connection_.get(), block, received_files_);
    const bool brought_files = received_files_.size() > files_before;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (got <= 0) return fail("");
    if (received_files_.size() > kFilesLimit)
      return fail("vhost-user: more descriptors than any message carries");
    input_.insert(input_.end(), block.begin(), block.begin() + got);
    std::size_t used = 0;
    for (;;) {
      const ByteView rest = ByteView(input_).subspan(used);
      auto header = parse_header(rest);
      if (!header) return tl::unexpected<Error>(header.error());
      if (!*header || rest.size() < kHeaderSize + (*header)->size) break;
      // Handling may send, and a send that fails means that the peer is gone.
      ROOKERY_TRY(handle((*header)->request, (*header)->flags, rest.subspan(kHeaderSize, (*header)->size)));
      used += kHeaderSize + (*header)->size;
    }
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
    if (input_.empty()) received_files_.clear();  // that no message asked for
    if (input_.size() > kInputLimit) return fail("vhost-user: a message that never ends");
    // Behind descriptors a read stops (unix(7)): there may be more, which a guest that has yielded said
    // before.
    if (static_cast<std::size_t>(got) < block.size() && !brought_files) return {};
  }
}

Status Endpoint::ring_exists(std::uint32_t index) const {
  if (index >= rings_.size()) return fail("vhost-user: there is no queue " + std::to_string(index));
  return {};
}

Result<UniqueFd> Endpoint::take_file() {
  if (received_files_.size() != 1) return fail("vhost-user: a message without its one descriptor");
  UniqueFd file = std::move(received_files_[0]);
  received_files_.clear();
  return file;
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
    ::fcntl(file.get(), F_SETFL, O_NONBLOCK);
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
    return kicked(named->index);  // of what is there already nobody will tell
  }
  return {};
}

void Endpoint::kick_readable(unsigned queue) {
  std::uint64_t count;
  if (::read(rings_[queue].kick.get(), &count, sizeof count) < 0) return;
  readable();  // what the driver has said before counts: the memory that the request lies in, for one
  if (const auto status = kicked(queue); !status) drop(status.error().message);
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
      if (lane_ == nullptr) return kicked(state->index);
      kicks_pending_ |= 1ull << state->index;
      return {};
    default:
      return fail("vhost-user: a request that cannot be here");
  }
}

Status Endpoint::kicked(unsigned index) {
  const Virtqueue& queue = rings_[index].queue;
  if (queue.running()) model_.kicked(index);
  if (queue.broken()) return fail("vhost-user: the guest's queue is wrong: " + queue.fault());
  if (memory_ && memory_->damaged()) return fail("vhost-user: the guest took its memory away");
  return {};
}

// What the guest wrote before it yielded is all there.
void Endpoint::settle() {
  if (connection_) readable();
  for (unsigned queue = 0; kicks_pending_ != 0; ++queue) {
    const std::uint64_t bit = 1ull << queue;
    if ((kicks_pending_ & bit) == 0) continue;
    kicks_pending_ &= ~bit;
    if (const auto status = kicked(queue); !status) drop(status.error().message);
  }
}

bool Endpoint::announce() {
  const bool any = calls_pending_ != 0;
  if (any) send_calls();
  return any;
}

Status Endpoint::handle(std::uint32_t request, std::uint32_t flags, ByteView payload) {
  ByteBuffer reply;
  switch (static_cast<Request>(request)) {
    case Request::set_owner:
    case Request::reset_owner:
    case Request::set_config:
      break;
    case Request::set_vring_kick:
    case Request::set_vring_call:
    case Request::set_vring_err:  // nothing to be told there: a queue that is wrong ends the connection
      ROOKERY_TRY(handle_ring_file(static_cast<Request>(request), payload));
      break;
    case Request::get_features:
      reply = encode_u64(request, kFlagReply,
                         model_.features() | kFeatureVersion1 | kFeatureProtocolFeatures | kFeatureLogAll);
      break;
    case Request::set_features: {
      auto features = parse_u64(payload);
      if (!features) return tl::unexpected<Error>(features.error());
      if ((*features & kFeatureLogAll) != 0)
        return fail("vhost-user: a log of changed pages is wanted of a device that runs");
      if ((*features & ~(model_.features() | kFeatureVersion1 | kFeatureProtocolFeatures)) != 0) {
        return fail("vhost-user: the driver wants features that were not offered");
      }
      features_ = *features;
      break;
    }
    case Request::get_protocol_features: {
      reply =
          encode_u64(request, kFlagReply,
                     kProtocolLogShmfd | kProtocolSlaveReq | kProtocolConfig | kProtocolInbandNotifications);
      break;
    }
    case Request::set_protocol_features: {
      auto features = parse_u64(payload);
      if (!features) return tl::unexpected<Error>(features.error());
      protocol_features_ = *features;
      break;
    }
    case Request::get_queue_num:
      reply = encode_u64(request, kFlagReply, rings_.size());
      break;
    case Request::set_mem_table:
      ROOKERY_TRY(set_memory(payload));
      break;
    case Request::set_slave_req_fd: {
      auto file = take_file();
      if (!file) return tl::unexpected<Error>(file.error());
      if (!is_socket(*file)) return fail("vhost-user: calls are to go to a descriptor that is no socket");
      slave_watch_.stop();
      slave_ = std::move(*file);
      ::fcntl(slave_.get(), F_SETFL, O_NONBLOCK);
      slave_watch_ = loop_.watch(slave_.get(), EPOLLIN, [this](std::uint32_t) { slave_readable(); });
      break;
    }
    case Request::get_config: {
      auto range = parse_config_range(payload);
      if (!range) return tl::unexpected<Error>(range.error());
      ByteBuffer space = model_.config_space();
      space.resize(range->offset + range->size);  // beyond the device's own: zeros
      ByteWriter answer;
      answer.le32(range->offset).le32(range->size).le32(range->flags);
      answer.bytes(ByteView(space).subspan(range->offset, range->size));
      reply = encode(request, kFlagReply, answer.buffer());
      break;
    }
    default:
      ROOKERY_TRY(handle_ring(request, payload, reply));
  }
  if (reply.empty() && (flags & kFlagNeedReply) != 0) reply = encode_u64(request, kFlagReply, 0);
  return reply.empty() ? Status{} : send(reply);
}

Status Endpoint::send(const ByteBuffer& message) {
  // Small, and the peer waits for it: a full socket can only be a peer that does not read its answers.
  const ssize_t sent = ::send(connection_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent != static_cast<ssize_t>(message.size()))
    return fail("vhost-user: the driver does not read its answers");
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
      const std::uint64_t one = 1;
      (void)!::write(rings_[queue].call.get(), &one, sizeof one);  // a full counter tells as well
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
