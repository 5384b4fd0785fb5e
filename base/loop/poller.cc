#include "base/loop/poller.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/result.h"

namespace rookery {

Poller::Poller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) bug("epoll_create1 failed");
}

void Poller::add(int fd, std::uint32_t events, FdAction action) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    bug("watching a descriptor twice, or a closed one");
  actions_[fd] = Entry{++generation_, std::make_shared<FdAction>(std::move(action))};
}

void Poller::modify(int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0)
    bug("changing the watch of a descriptor that has none");
}

void Poller::remove(int fd) {
  if (actions_.erase(fd) > 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

std::optional<std::size_t> Poller::wait(std::optional<Duration> timeout, const std::function<void()>& awake) {
  std::array<epoll_event, 256> ready;
  timespec limit{};
  if (timeout) {
    const Duration bounded = std::max(*timeout, Duration{0});
    limit.tv_sec = static_cast<time_t>(bounded.count() / 1'000'000'000);
    limit.tv_nsec = static_cast<long>(bounded.count() % 1'000'000'000);
  }
  const int count = ::epoll_pwait2(epoll_.get(), ready.data(), static_cast<int>(ready.size()),
                                   timeout ? &limit : nullptr, nullptr);
  if (count < 0 && errno != EINTR) bug("epoll_pwait2 failed; it takes Linux 5.11");
  awake();
  if (count < 0) return std::nullopt;
  std::sort(ready.begin(), ready.begin() + count,
            [](const epoll_event& a, const epoll_event& b) { return a.data.fd < b.data.fd; });
  // An action may remove or replace any watch: each is looked up again, and must be the one that was ready.
  const std::uint64_t newest = generation_;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = ready[static_cast<std::size_t>(i)];
    const auto found = actions_.find(event.data.fd);
    if (found == actions_.end() || found->second.generation > newest) continue;
    const std::shared_ptr<FdAction> action = found->second.action;
    (*action)(event.events);
  }
  return static_cast<std::size_t>(count);
}

}  // namespace rookery
