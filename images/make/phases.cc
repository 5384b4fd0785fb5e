#include "images/make/phases.h"

#include "base/loop/host_clock.h"

namespace rookery::images {
namespace {

std::string whole_seconds(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) + " s";
}

}  // namespace

Phases::Running::Running(Phases& phases, std::string name)
    : phases_(phases), name_(std::move(name)), began_(host_clock::monotonic()) {
  const std::lock_guard lock(phases_.mutex_);
  phases_.running_.push_back(this);
  phases_.wake_.notify_all();
}

Phases::Running::~Running() {
  const Duration took = host_clock::monotonic() - began_;
  {
    const std::lock_guard lock(phases_.mutex_);
    phases_.running_.remove(this);
  }
  if (took >= std::chrono::seconds(1)) phases_.line(name_ + ": " + whole_seconds(took));
}

Phases::Phases(Progress say, Duration quiet)
    : say_(std::move(say)),
      quiet_(quiet),
      last_line_(host_clock::monotonic()),
      beats_([this] { say_what_runs(); }) {}

Phases::~Phases() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_all();
  beats_.join();
}

void Phases::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  last_line_ = host_clock::monotonic();
  say_(text);
}

std::string Phases::what_runs() const {
  std::string text;
  for (const Running* running : running_) {
    text += (text.empty() ? "" : ", ") + running->name_ + " (" +
            whole_seconds(host_clock::monotonic() - running->began_) + ")";
  }
  return "still at work: " + text;
}

void Phases::say_what_runs() {
  std::unique_lock lock(mutex_);
  while (!over_) {
    if (running_.empty()) {
      wake_.wait(lock);
      continue;
    }
    const Duration left = last_line_ + quiet_ - host_clock::monotonic();
    if (left > Duration::zero()) {
      wake_.wait_for(lock, left);
      continue;
    }
    last_line_ = host_clock::monotonic();
    say_(what_runs());
  }
}

}  // namespace rookery::images
