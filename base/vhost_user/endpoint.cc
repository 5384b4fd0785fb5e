#include "base/vhost_user/endpoint.h"

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
  loop_.cancel(resume_event_);
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
  loop_.cancel(std::exchange(call_event_, {}));
  loop_.cancel(std::exchange(resume_event_, {}));
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
  if (lane_ == nullptr) return work();
  // A guest that runs: what it says is kept until it rests. What does not fit in here is read then.
  TurnBudget turn(TurnShare::in_lockstep());
  if (const auto all = receive(turn); !all) drop(all.error().message);
}

// One turn's share, in real time: what the driver has said, then the queues that it has kicked, for it has
// said before where they lie.
void Endpoint::work() {
  if (!connection_) return;
  const auto all = receive(budget());
  if (!all) return drop(all.error().message);
  if (!*all) return go_on();
  act_on_kicks();
}

void Endpoint::go_on() {
  if (resume_event_) return;
  resume_event_ = loop_.soon([this] {
    resume_event_ = {};
    work();
  });
}

void Endpoint::again(unsigned queue) {
  kicks_pending_ |= 1ull << queue;
  if (lane_ != nullptr) return lane_->poke();
  go_on();
}

// Each that is pending once, as far as the budget goes.
void Endpoint::act_on_kicks() {
  const std::uint64_t kicked_now = kicks_pending_;
  for (unsigned queue = 0; queue < rings_.size(); ++queue) {
    const std::uint64_t bit = 1ull << queue;
    if ((kicked_now & kicks_pending_ & bit) == 0) continue;
    if (!budget().left()) return again(queue);
    kicks_pending_ &= ~bit;
    if (const auto status = kicked(queue); !status) drop(status.error().message);
  }
}

// Reads and handles what is there, as far as `turn` goes; whether that was all.
Result<bool> Endpoint::receive(TurnBudget& turn) {
  for (bool more = true;;) {
    const auto handled = handle_input(turn);
    if (!handled || !*handled) return handled;
    if (!more) return true;
    std::array<std::uint8_t, 4096> block;
    const std::size_t files_before = received_files_.size();
    const ssize_t got = receive_with_files(connection_.get(), block, received_files_);
    const bool brought_files = received_files_.size() > files_before;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (got <= 0) return fail("");
    if (received_files_.size() > kFilesLimit)
      return fail("vhost-user: more descriptors than any message carries");
    input_.insert(input_.end(), block.begin(), block.begin() + got);
    // Behind descriptors a read stops (unix(7)): there may be more, which a guest that has yielded said
    // before.
    more = static_cast<std::size_t>(got) == block.size() || brought_files;
  }
}

// The messages that have been read; false if some are left when the turn is over.
Result<bool> Endpoint::handle_input(TurnBudget& turn) {
  std::size_t used = 0;
  bool all = false;
  while (!all) {
    const ByteView rest = ByteView(input_).subspan(used);
    auto header = parse_header(rest);
    if (!header) return tl::unexpected<Error>(header.error());
    all = !*header || rest.size() < kHeaderSize + (*header)->size;
    if (all || !turn.left()) break;
    turn.spend_message(!received_files_.empty());
    // Handling may send, and a send that fails means that the peer is gone.
    ROOKERY_TRY(handle((*header)->request, (*header)->flags, rest.subspan(kHeaderSize, (*header)->size)));
    used += kHeaderSize + (*header)->size;
  }
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
  if (input_.empty()) received_files_.clear();  // that no message asked for
  if (all && input_.size() > kInputLimit) return fail("vhost-user: a message that never ends");
  return all;
}

Result<UniqueFd> Endpoint::take_file() {
  if (received_files_.size() != 1) return fail("vhost-user: a message without its one descriptor");
  UniqueFd file = std::move(received_files_[0]);
  received_files_.clear();
  return file;
}

// What the guest wrote before it yielded is all there, and no more comes from one that does rest: less than a
// socket holds.
void Endpoint::settle() {
  budget_.renew();
  if (connection_) {
    TurnBudget turn(TurnShare::in_lockstep());
    const auto all = receive(turn);
    if (!all) {
      drop(all.error().message);
    } else if (!*all) {
      drop("vhost-user: a guest that rests goes on sending messages");
    }
  }
  act_on_kicks();
}

bool Endpoint::announce() {
  budget_.renew();
  act_on_kicks();  // of which there was too much for one share
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

}  // namespace rookery::vhost_user
