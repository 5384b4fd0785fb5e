#include "guest/program/management.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "guest/program/system.h"

namespace rookery::guest {
namespace {

// Differs from that of every earlier session of this machine, also where randomness is seeded alike at each
// boot.
std::uint32_t fresh_epoch() {
  std::uint32_t random = 0;
  constexpr unsigned kInsecure = 4;  // GRND_INSECURE: never waits for entropy (linux/random.h)
  (void)getrandom(&random, sizeof random, kInsecure);
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  const std::uint32_t epoch =
      random ^ static_cast<std::uint32_t>(time.tv_nsec) ^ static_cast<std::uint32_t>(time.tv_sec);
  return epoch == 0 ? 1 : epoch;
}

int milliseconds_until(Time when) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 1 << 30));
}

}  // namespace

Result<Management> Management::open(const Interface& interface, agent::Program program,
                                    agent::Source source) {
  ROOKERY_TRY(bring_up_unmanaged(interface.name));
  UniqueFd fd(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(agent::kEtherType)));
  if (!fd) return fail_errno("a packet socket");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(agent::kEtherType);
  address.sll_ifindex = interface.index;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("binding to " + interface.name);
  }
  Management management(std::move(fd), interface.index, fresh_epoch());
  management.send(agent::Hello{management.channel_.epoch(), program, source});
  return management;
}

void Management::send(const agent::Message& message) {
  if (const Status sent = channel_.send(agent::encode(message)); !sent) say(sent.error().message);
  transmit();
}

void Management::transmit() {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(agent::kEtherType);
  address.sll_ifindex = interface_;
  address.sll_halen = 6;
  std::memcpy(address.sll_addr, agent::kHostAddress.data(), 6);
  // A frame that cannot be sent now is as good as lost on the wire: the channel sends it again.
  while (const auto segment = channel_.next_segment(now())) {
    (void)sendto(socket_.get(), segment->data(), segment->size(), 0,
                 reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
}

void Management::service() {
  std::uint8_t segment[2048];
  while (true) {
    const ssize_t size = recv(socket_.get(), segment, sizeof segment, 0);
    if (size < 0) break;
    channel_.receive(ByteView(segment, static_cast<std::size_t>(size)), now());
  }
  transmit();
}

std::optional<agent::Message> Management::next_message() {
  while (const auto bytes = channel_.take_message()) {
    const Result<agent::Message> message = agent::decode(*bytes);
    if (!message) {
      say(message.error().message);
    } else if (!std::holds_alternative<agent::Unknown>(*message)) {
      return *message;
    }
  }
  return std::nullopt;
}

int Management::poll_timeout() const {
  const auto deadline = channel_.deadline();
  return deadline ? milliseconds_until(*deadline) : -1;
}

void Management::wait_readable(Time until) {
  const int own = poll_timeout();
  const int limit = milliseconds_until(until);
  pollfd waiting{socket_.get(), POLLIN, 0};
  (void)poll(&waiting, 1, own < 0 ? limit : std::min(own, limit));
  service();
}

void Management::flush(Duration limit) {
  const Time end = now() + limit;
  service();
  while (!channel_.drained() && now() < end) wait_readable(end);
}

std::optional<agent::Message> Management::wait_message(Duration limit) {
  const Time end = now() + limit;
  service();
  while (true) {
    if (auto message = next_message()) {
      transmit();
      return message;
    }
    if (now() >= end) return std::nullopt;
    wait_readable(end);
  }
}

Report::Report(agent::Program program, agent::Source source, const std::optional<Interface>& management) {
  if (!management) return;
  Result<Management> opened = Management::open(*management, program, source);
  if (opened) {
    management_.emplace(std::move(*opened));
  } else {
    say("the management network does not work: " + opened.error().message);
  }
}

void Report::stage(agent::BootStage stage, const std::string& detail) {
  say(std::string(agent::name_of(stage)) + ": " + detail);
  if (management_) management_->send(agent::Stage{stage, detail});
}

void Report::guessed(const std::string& what) {  // the console has it already
  if (management_) management_->send(agent::Guessed{what});
}

void Report::restarting(const std::string& reason) {
  say("restarts: " + reason);
  if (management_) {
    management_->send(agent::Restarting{reason});
    management_->flush(std::chrono::seconds(2));
  }
  restart();
}

void Report::failed(agent::BootStage stage, const std::string& reason) {
  say("failed in the stage " + std::string(agent::name_of(stage)) + ": " + reason);
  if (management_) {
    management_->send(agent::Failed{stage, reason});
    management_->flush(std::chrono::seconds(2));
  }
  power_off();
}

}  // namespace rookery::guest
