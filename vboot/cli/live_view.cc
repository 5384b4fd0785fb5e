#include "vboot/cli/live_view.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace rookery::vboot {
namespace {

constexpr long kBetweenFrames = 150'000'000;  // nanoseconds
constexpr std::size_t kMessages = 10, kConsoleLines = 200;

}  // namespace

bool LiveView::is_possible() {
  const char* const no_color = std::getenv("NO_COLOR");
  const char* const term = std::getenv("TERM");
  return ::isatty(0) != 0 && ::isatty(2) != 0 && (no_color == nullptr || *no_color == '\0') &&
         term != nullptr && std::strcmp(term, "dumb") != 0;
}

LiveView::LiveView(RunningLab& lab, Recorder& recorder, std::function<void()> left)
    : lab_(lab), recorder_(recorder), left_(std::move(left)) {}

std::unique_ptr<LiveView> LiveView::open(EventLoop& loop, RunningLab& lab, Recorder& recorder,
                                         std::function<void()> left) {
  std::unique_ptr<LiveView> view(new LiveView(lab, recorder, std::move(left)));
  view->ticks_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!view->ticks_) return nullptr;
  const itimerspec every{{0, kBetweenFrames}, {0, 1}};
  ::timerfd_settime(view->ticks_.get(), 0, &every, nullptr);
  view->terminal_ = Terminal::open();
  if (!view->terminal_) return nullptr;
  LiveView* const raw = view.get();
  view->tick_watch_ = loop.watch(view->ticks_.get(), EPOLLIN, [raw](std::uint32_t) {
    std::uint64_t count;
    (void)!::read(raw->ticks_.get(), &count, sizeof count);
    raw->draw();
  });
  view->key_watch_ = loop.watch(view->terminal_->key_fd(), EPOLLIN, [raw](std::uint32_t) {
    raw->keys();
    raw->draw();
  });
  return view;
}

LiveView::~LiveView() = default;

void LiveView::say(std::string_view line) {
  messages_.emplace_back(line);
  if (messages_.size() > kMessages) messages_.pop_front();
}

void LiveView::keys() {
  bool leaves = false;
  while (const auto typed = terminal_->next_key()) {
    leaves |= typed->leaves;
    if (typed->key) state_.press(*typed->key, recorder_.history());
  }
  if (leaves) left_();
}

void LiveView::draw() {
  LiveInput input{
      recorder_.history(), recorder_.elapsed(), lab_.plan().name, {messages_.begin(), messages_.end()}, {}};
  input.in_the_way = lab_.faults().in_the_way();
  for (const auto& words : input.in_the_way)
    input.stopped.push_back(std::any_of(words.begin(), words.end(), FaultBoard::stops));
  // Physical machines, which come behind the lab's own, have no console here.
  if (state_.inside && state_.chosen && *state_.chosen < lab_.nodes().size())
    input.console = lab_.nodes()[*state_.chosen]->console().last_lines(kConsoleLines);
  terminal_->paint(compose(input, state_, terminal_->width(), terminal_->height()));
}

}  // namespace rookery::vboot
