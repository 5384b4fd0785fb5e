#include "vboot/report/history.h"

#include <algorithm>

namespace rookery::vboot {

void Series::put(Duration at, std::uint64_t value) {
  last_ = {at, value};
  if (!points_.empty() && at < points_.back().at + spacing_) return;
  points_.push_back(last_);
  if (points_.size() < kPointsMost) return;
  for (std::size_t i = 0; 2 * i < points_.size(); ++i) points_[i] = points_[2 * i];
  points_.resize((points_.size() + 1) / 2);
  spacing_ *= 2;
}

std::vector<Series::Point> Series::points() const {
  std::vector<Point> all = points_;
  if (!all.empty() && all.back() != last_) all.push_back(last_);
  return all;
}

double Series::rate(Duration over) const {
  if (points_.empty()) return 0;
  auto first = points_.rbegin();
  while (first + 1 != points_.rend() && last_.at - first->at < over) ++first;
  const double elapsed = seconds(last_.at - first->at);
  return elapsed > 0 ? static_cast<double>(last_.value - first->value) / elapsed : 0;
}

std::optional<Duration> MachineHistory::boot_time() const {
  std::optional<Duration> on;
  for (const StageChange& change : stages) {
    if (change.stage == Stage::off) on.reset();
    if (change.stage == Stage::ready && on) return change.at - *on;
    if (change.stage != Stage::off && !on) on = change.at;
  }
  return std::nullopt;
}

History::History(const LabPlan& plan) {
  for (const MachinePlan& machine : plan.machines) {
    MachineHistory& history = machines_.emplace_back();
    history.name = machine.name;
    history.roles = machine.roles;
    clients_ += history.is_client() ? 1 : 0;
  }
}

std::size_t History::add_physical(std::string_view name) {
  MachineHistory& history = machines_.emplace_back();
  history.name = name;
  history.physical = true;
  return machines_.size() - 1;
}

void History::stage(std::size_t machine, Duration at, Stage stage) {
  passed(at);
  MachineHistory& history = machines_[machine];
  if (history.stage() == stage) return;
  // Half of them at once, so that a machine that never settles costs little.
  if (history.stages.size() == kStagesMost) {
    history.left_out += kStagesMost / 2;
    history.stages.erase(history.stages.begin(), history.stages.begin() + kStagesMost / 2);
  }
  history.stages.push_back({at, stage});
}

void History::failure(std::size_t machine, Duration at, Stage in, std::string_view reason) {
  stage(machine, at, Stage::failed);
  machines_[machine].failed_in = in;
  machines_[machine].reason = reason.substr(0, kTextMost);
}

void History::fault_began(Duration at, std::string_view name, std::string_view text) {
  passed(at);
  if (faults_.size() == kFaultsMost) {
    ++left_out_;
    return;
  }
  faults_.push_back({std::string(name), std::string(text.substr(0, kTextMost)), at, std::nullopt, ""});
}

void History::fault_ended(Duration at, std::string_view name, std::string_view why) {
  passed(at);
  const auto span = std::find_if(faults_.rbegin(), faults_.rend(),
                                 [&](const FaultSpan& fault) { return fault.name == name && !fault.ended; });
  if (span == faults_.rend()) return;
  span->ended = at;
  span->why = why;
}

void History::step(Duration at, std::string_view text) {
  passed(at);
  if (steps_.size() == kStepsMost) {
    ++left_out_;
    return;
  }
  steps_.push_back({at, std::string(text.substr(0, kTextMost))});
}

void History::sample(Duration at, std::uint64_t bytes, std::uint64_t frames, Bytes memory) {
  passed(at);
  bytes_.put(at, bytes);
  frames_.put(at, frames);
  memory_.put(at, memory.count);
}

std::size_t History::count(Stage stage) const {
  return static_cast<std::size_t>(std::count_if(
      machines_.begin(), machines_.end(),
      [&](const MachineHistory& machine) { return machine.is_client() && machine.stage() == stage; }));
}

std::optional<Duration> History::time_left(Duration now) const {
  constexpr std::size_t kLately = 50;  // arrivals that say how fast it goes
  std::vector<Duration> arrivals;
  for (const MachineHistory& machine : machines_) {
    // For the first time: what boots again later is no part of it.
    const auto arrived = std::find_if(
        machine.stages.begin(), machine.stages.end(),
        [](const StageChange& one) { return one.stage == Stage::ready || one.stage == Stage::failed; });
    if (machine.is_client() && arrived != machine.stages.end()) arrivals.push_back(arrived->at);
  }
  const std::size_t left = clients_ - arrivals.size();
  if (left == 0 || arrivals.empty()) return std::nullopt;
  const std::size_t lately = std::min(kLately, arrivals.size());
  std::nth_element(arrivals.begin(), arrivals.end() - static_cast<std::ptrdiff_t>(lately), arrivals.end());
  // Of those that came lately, the first began the time that the others took.
  const Duration took = now - *(arrivals.end() - static_cast<std::ptrdiff_t>(lately));
  return took / static_cast<std::int64_t>(lately) * static_cast<std::int64_t>(left);
}

}  // namespace rookery::vboot
