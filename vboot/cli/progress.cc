#include "vboot/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <utility>

namespace rookery::vboot {
namespace {

constexpr Duration kBetweenUpdates = std::chrono::milliseconds(100);  // on a terminal
constexpr Duration kBetweenLines = std::chrono::seconds(2);           // elsewhere

}  // namespace

Progress::Progress(How how) : how_(how), terminal_(::isatty(2) != 0) {}

Progress::How Progress::how(bool json, bool plain, bool verbose) {
  if (json && ::isatty(2) == 0) return How::quiet;
  return plain || verbose || !LiveView::is_possible() ? How::plain : How::live;
}

void Progress::watch(EventLoop& loop, RunningLab& lab, Recorder& recorder) {
  if (how_ != How::live) return;
  loop_ = &loop;
  finish();
  view_ = LiveView::open(loop, lab, recorder, [this] {
    if (!leaving_) leaving_ = loop_->soon([this] { finish(); });
  });
}

void Progress::line(std::string_view text) {
  if (how_ == How::quiet) return;
  if (view_) return view_->say(text);
  finish();
  fmt::print(stderr, "{}\n", text);
}

void Progress::warn(std::string_view text) {
  const How how = how_;
  if (how_ == How::quiet) how_ = How::plain;
  line(text);
  how_ = how;
}

void Progress::result(std::function<void()> print) {
  if (view_) {
    results_.push_back(std::move(print));
    return;
  }
  finish();
  print();
}

void Progress::update(const RunningLab& lab, Time now) {
  if (how_ == How::quiet || view_) return;
  std::array<unsigned, 8> by_stage{};
  unsigned clients = 0;
  for (const auto& node : lab.nodes()) {
    if (serves_boot(node->plan().roles)) continue;
    ++clients;
    ++by_stage[static_cast<std::size_t>(node->boot().stage)];
  }
  const unsigned ready = by_stage[static_cast<std::size_t>(Stage::ready)];
  const unsigned failed = by_stage[static_cast<std::size_t>(Stage::failed)];
  const bool last = ready + failed == clients;
  if (!last && last_update_ != Time{} && now - last_update_ < (terminal_ ? kBetweenUpdates : kBetweenLines))
    return;
  last_update_ = now;

  std::string text;
  if (terminal_) {
    constexpr unsigned kWidth = 30;
    const unsigned filled = clients == 0 ? kWidth : kWidth * ready / clients;
    for (unsigned i = 0; i < kWidth; ++i) text += i < filled ? "█" : "░";
    text += " ";
  }
  text += fmt::format("{:5.1f} s  {} of {} ready", seconds(now - lab.started()), ready, clients);
  for (const Stage stage :
       {Stage::firmware, Stage::dhcp, Stage::script, Stage::kernel, Stage::root, Stage::failed}) {
    const unsigned count = by_stage[static_cast<std::size_t>(stage)];
    if (count > 0) text += fmt::format(", {} {}", count, to_string(stage));
  }
  if (text == last_text_) return;
  last_text_ = text;
  if (terminal_) {
    fmt::print(stderr, "\r\x1b[K{}", text);
    line_open_ = true;
  } else {
    fmt::print(stderr, "{}\n", text);
  }
  std::fflush(stderr);
}

void Progress::finish() {
  if (leaving_) loop_->cancel(leaving_);
  leaving_ = {};
  view_.reset();
  if (line_open_) fmt::print(stderr, "\n");
  line_open_ = false;
  for (const auto& print : std::exchange(results_, {})) print();
}

}  // namespace rookery::vboot
