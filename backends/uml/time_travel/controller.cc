#include "backends/uml/time_travel/controller.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include "base/unix_socket.h"

namespace rookery::backends::time_travel {
namespace {

// How far a guest may run on its own before it asks: each look at its clock costs 256 ns, and a program that
// waits for time by looking at it yields after this long.
constexpr Duration kOnItsOwn = std::chrono::microseconds(20);
constexpr std::uint64_t kNever = 1ull << 62;  // a guest says S64_MAX for "until something happens"

template <typename T>
T load(const std::uint8_t* segment, std::size_t at) {
  return __atomic_load_n(reinterpret_cast<const T*>(segment + at), __ATOMIC_ACQUIRE);
}

template <typename T>
void store(std::uint8_t* segment, std::size_t at, T value) {
  __atomic_store_n(reinterpret_cast<T*>(segment + at), value, __ATOMIC_RELEASE);
}

}  // namespace

Result<std::unique_ptr<Controller>> Controller::listen(EventLoop& loop, const std::filesystem::path& socket,
                                                       Lane& lane, Duration clock) {
  auto listening = listen_unix(socket);
  if (!listening) return tl::unexpected<Error>(listening.error());
  std::unique_ptr<Controller> controller(new Controller(loop, socket, lane, clock));
  ROOKERY_TRY(controller->make_segment());
  controller->listener_ = std::make_unique<Listener>(
      loop, std::move(*listening), [raw = controller.get()](UniqueFd peer) { raw->accept(std::move(peer)); });
  lane.set_runner(controller.get());
  return controller;
}

Controller::~Controller() {
  lane_.set_runner(nullptr);
  if (segment_ != nullptr) ::munmap(segment_, shared::kSize);
  ::unlink(path_.c_str());
}

void Controller::starting() {
  lane_.begin();
}

void Controller::ended() {
  connection_watch_.stop();
  connection_.reset();
  input_.clear();
  lane_.ended();
}

// A first connection, or that of a guest that has restarted (it was running, and still is).
void Controller::accept(UniqueFd peer) {
  connection_watch_.stop();
  connection_ = std::move(peer);
  input_.clear();
  connection_watch_ = loop_.watch(connection_.get(), EPOLLIN, [this](std::uint32_t) { readable(); });
}

void Controller::readable() {
  std::array<std::uint8_t, 64 * kMessageSize> block;
  const ssize_t got = ::recv(connection_.get(), block.data(), block.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    // It restarts or it dies. Either way it was running and still is, until the one or the other is seen.
    connection_watch_.stop();
    connection_.reset();
    return;
  }
  input_.insert(input_.end(), block.begin(), block.begin() + got);
  std::size_t used = 0;
  while (input_.size() - used >= kMessageSize) {
    const Message message = parse_message(ByteView(input_).subspan(used, kMessageSize));
    used += kMessageSize;
    handle(message);
  }
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
}

void Controller::handle(const Message& message) {
  switch (message.operation) {
    case Operation::start:
      return start(message.sequence);
    case Operation::wait:  // with shared memory nobody acknowledges it
      return waits(message.time);
    case Operation::get_time_of_day:
      return send({Operation::ack, message.sequence,
                   static_cast<std::uint64_t>((clock_ + lane_.now().since_start).count())});
    case Operation::get:
      return send({Operation::ack, message.sequence, guest_time(lane_.now())});
    case Operation::ack:
      return;
    default:  // acknowledged, so that the guest goes on
      return send({Operation::ack, message.sequence, 0});
  }
}

Status Controller::make_segment() {
  segment_file_ = UniqueFd(::memfd_create("rookery-time", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!segment_file_ || ::ftruncate(segment_file_.get(), shared::kSize) != 0)
    return fail_errno("no memory for a guest's time");
  // A segment that a guest could shrink would take us with it.
  if (::fcntl(segment_file_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail_errno("cannot seal a guest's time");
  void* mapped = ::mmap(nullptr, shared::kSize, PROT_READ | PROT_WRITE, MAP_SHARED, segment_file_.get(), 0);
  if (mapped == MAP_FAILED) return fail_errno("no memory for a guest's time");
  segment_ = static_cast<std::uint8_t*>(mapped);
  return {};
}

// The acknowledgement carries the segment, and a file for the guest's log, which it closes.
void Controller::start(std::uint32_t sequence) {
  started_ = lane_.now();
  std::fill_n(segment_, shared::kSize, std::uint8_t{0});
  store(segment_, shared::kVersionAt, shared::kVersion);
  store(segment_, shared::kLengthAt, static_cast<std::uint32_t>(shared::kSize));
  store(segment_, shared::kMaxClientsAt, std::uint16_t{1});
  store(segment_, shared::kFreeUntilAt, static_cast<std::uint64_t>(kOnItsOwn.count()));
  send({Operation::ack, sequence, 0}, std::array{segment_file_.get(), segment_file_.get()});
}

void Controller::waits(std::uint64_t guest_now) {
  if (!lane_.running()) return;  // said twice: nothing is owed
  // The longest that it may have gone, whatever it says.
  const Time latest = lane_.now() + kOnItsOwn;
  const Time now = guest_now < kNever ? std::min(started_ + Duration(guest_now), latest) : latest;
  std::optional<Time> wants;
  if ((load<std::uint32_t>(segment_, shared::kFlagsAt) & shared::kWantsToRun) != 0) {
    const auto at = load<std::uint64_t>(segment_, shared::kRequestTimeAt);
    if (at < kNever) wants = started_ + Duration(at);
  }
  lane_.yielded(now, wants);
}

void Controller::set_clock(Time now) {
  store(segment_, shared::kCurrentTimeAt, guest_time(now));
}

void Controller::run(Time now) {
  send({Operation::run, static_cast<std::uint32_t>(kOnItsOwn.count()), guest_time(now)});
}

void Controller::send(const Message& message, std::span<const int> files) {
  // Lost only if the guest is gone, which its process tells.
  (void)send_with_files(connection_.get(), encode(message), files);
}

}  // namespace rookery::backends::time_travel
