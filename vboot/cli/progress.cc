#include "vboot/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/printable.h"
#include "vboot/cli/logging.h"

namespace rookery::vboot {
namespace {

constexpr Duration kBetweenUpdates = std::chrono::milliseconds(100);  // on a terminal
constexpr Duration kBetweenLines = std::chrono::seconds(2);           // elsewhere
// Of results there are at most a line for each machine of the largest lab.
constexpr Bytes kResultsMost = mebibytes(16);
constexpr Duration kPatience = std::chrono::seconds(5);

}  // namespace

Progress::Progress(How how) : how_(how), terminal_(::isatty(2) != 0), errors_(2), output_(1, kResultsMost) {
  log_to([this](std::string_view line) { log(line); });
}

Progress::~Progress() {
  log_to_standard_error();
}

Progress::How Progress::how(bool json, bool plain, bool verbose) {
  if (json && ::isatty(2) == 0) return How::quiet;
  return plain || verbose || !LiveView::is_possible() ? How::plain : How::live;
}

void Progress::watch(EventLoop& loop, RunningLab& lab, Recorder& recorder) {
  if (how_ != How::live) return;
  loop_ = &loop;
  finish();
  errors_.drain(kBetweenUpdates);  // before the screen is another
  view_ = LiveView::open(loop, lab, recorder, [this] {
    if (!leaving_) leaving_ = loop_->soon([this] { finish(); });
  });
}

void Progress::line(std::string_view text) {
  if (how_ != How::quiet) say(text);
}

void Progress::warn(std::string_view text) {
  say(text);
}

// Lines quote what machines, files and peers said.
void Progress::say(std::string_view text) {
  const std::string line = printable_lines(text);
  if (view_) return view_->say(line);
  end_line();
  errors_.write(line + "\n");
}

// The view belongs to the loop's thread; the writer does not mind.
void Progress::log(std::string_view line) {
  if (std::this_thread::get_id() == thread_) return say(line);
  errors_.write(printable_lines(line) + "\n");
}

void Progress::result(std::string text) {
  results_.push_back(std::move(text));
  if (view_) return;
  end_line();
  give_results();
}

void Progress::give_results() {
  if (results_.empty()) return;
  for (const std::string& text : std::exchange(results_, {})) output_.write(text);
  output_.drain(kBetweenUpdates);  // before what is said next
}

Status Progress::settle() {
  finish();
  if (!output_.drain(kPatience)) return fail("cannot write to standard output: nobody reads it");
  if (const Status written = output_.problem(); !written)
    return fail("cannot write to standard output: " + written.error().message);
  return {};
}

void Progress::update(const RunningLab& lab, Time now) {
  if (how_ == How::quiet || view_) return;
  std::array<unsigned, 8> by_stage{};
  unsigned clients = 0;
  for (const auto& node : lab.nodes()) {
    if (serves_boot(node->plan().roles)) continue;
    ++clients;
    const BootRecord& boot = node->boot();
    ++by_stage[static_cast<std::size_t>(boot.arrived() ? Stage::ready : boot.stage)];
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
    errors_.write(fmt::format("\r\x1b[K{}", text));
    line_open_ = true;
  } else {
    errors_.write(fmt::format("{}\n", text));
  }
}

void Progress::end_line() {
  if (line_open_) errors_.write("\n");
  line_open_ = false;
}

void Progress::finish() {
  if (leaving_) loop_->cancel(leaving_);
  leaving_ = {};
  view_.reset();
  end_line();
  errors_.drain(PatientWriter::kPatience);  // what is said next by other ways comes after it
  give_results();
}

}  // namespace rookery::vboot
