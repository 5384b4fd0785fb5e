#include "vboot/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>

namespace rookery::vboot {
namespace {

constexpr Duration kBetweenUpdates = std::chrono::milliseconds(100);  // on a terminal
constexpr Duration kBetweenLines = std::chrono::seconds(2);           // elsewhere

}  // namespace

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(::isatty(2) != 0) {}

void Progress::line(std::string_view text) {
  if (quiet_) return;
  finish();
  fmt::print(stderr, "{}\n", text);
}

void Progress::update(const RunningLab& lab, Time now) {
  if (quiet_) return;
  std::array<unsigned, 8> by_stage{};
  unsigned clients = 0;
  for (const auto& node : lab.nodes()) {
    if (node->plan().role == Role::boot_server) continue;
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
  if (line_open_) fmt::print(stderr, "\n");
  line_open_ = false;
}

}  // namespace rookery::vboot
