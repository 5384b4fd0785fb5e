#include "vboot/faults/board.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "vboot/faults/ground.h"
#include "vboot/faults/in_force.h"
#include "vboot/faults/kind.h"
#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kNamesRemembered = 65'536;  // of faults that were once in force

}  // namespace

FaultBoard::FaultBoard(EventLoop& loop, std::uint64_t seed, FaultReach reach) : loop_(loop) {
  FaultGround::Asks asks;
  asks.end_soon = [this](const FaultInForce& fault, std::string_view why) { end_soon(fault, why); };
  asks.tell_hit = [this](const FaultInForce& fault, std::string_view cable, std::string_view direction,
                         const netsim::Frame& frame) {
    for (FaultEvents* listener : listeners_) listener->fault_hit(fault.spec, cable, direction, frame);
  };
  ground_ = std::make_unique<FaultGround>(loop, seed, std::move(reach), in_force_, std::move(asks));
}

FaultBoard::~FaultBoard() {
  for (const auto& [name, fault] : in_force_) {
    fault->settling->then = nullptr;
    loop_.cancel(fault->ends);
    fault->leave(*ground_);
  }
  for (const Cable& cable : ground_->reach().cables) cable.down->set_separation(nullptr);
}

Status FaultBoard::set(FaultSpec spec, Action settled) {
  std::unique_ptr<FaultInForce> made = kind_of(spec.effect).make();
  made->spec = std::move(spec);
  ROOKERY_TRY(made->find(*ground_));
  const std::string name = made->spec.name;
  const bool is_new = !in_force_.contains(name);
  const auto known = begun_.find(name);
  if ((is_new && in_force_.size() >= kFaultsMost) ||
      (known == begun_.end() && begun_.size() >= kNamesRemembered)) {
    return fail(ErrorKind::usage,
                fmt::format("fault: {} are in force, and no more can be", in_force_.size()));
  }
  made->turn = (known == begun_.end() ? 0 : known->second) + 1;
  made->began = loop_.now();
  const auto settling = std::make_shared<FaultInForce::Settling>(FaultInForce::Settling{std::move(settled)});
  made->settling = settling;
  FaultInForce& fault = *made;
  // What may turn out to be impossible begins first: then the old one of this name stays in force.
  const bool may_fail = fault.may_fail();
  if (!is_new && may_fail) {
    if (Status begun = fault.begin(*ground_); !begun) {
      settling->then = nullptr;
      fault.undo(*ground_);
      return begun;
    }
    const std::unique_ptr<FaultInForce> old = std::exchange(in_force_[name], std::move(made));
    over(*old, "replaced");
  } else {
    if (!is_new) end(name, "replaced");
    in_force_[name] = std::move(made);
  }
  begun_[name] = fault.turn;
  for (FaultEvents* listener : listeners_) listener->fault_began(fault.spec);
  if (is_new || !may_fail) {
    if (Status begun = fault.begin(*ground_); !begun) {
      settling->then = nullptr;
      end(name, "not possible");
      return begun;
    }
  }
  if (fault.is_done()) {
    fault.machines.clear();  // there is nothing to undo
    end(name, "done");
  } else if (const auto time = fault.time()) {
    fault.ends = loop_.after(*time, [this, name] { end(name, "time"); });
  }
  FaultInForce::one_settled(*settling);
  return {};
}

void FaultBoard::end(const std::string& name, std::string_view why) {
  const auto found = in_force_.find(name);
  if (found == in_force_.end()) return;
  const std::unique_ptr<FaultInForce> fault = std::move(found->second);
  in_force_.erase(found);
  over(*fault, why);
}

// Of one that is no longer among those in force.
void FaultBoard::over(FaultInForce& fault, std::string_view why) {
  loop_.cancel(fault.ends);
  fault.undo(*ground_);
  for (FaultEvents* listener : listeners_) listener->fault_ended(fault.spec, why);
}

void FaultBoard::end_soon(const FaultInForce& fault, std::string_view why) {
  loop_.soon([this, name = fault.spec.name, turn = fault.turn, why] {
    const auto found = in_force_.find(name);
    if (found != in_force_.end() && found->second->turn == turn) end(name, why);
  });
}

Result<std::size_t> FaultBoard::clear(std::string_view what) {
  std::vector<std::string> names;
  for (const auto& [name, fault] : in_force_) {
    const std::string place = fmt::format("{}", fmt::join(fault->spec.on, ","));
    if (what == "all" || fits(what, name) || (!place.empty() && place == what)) names.push_back(name);
  }
  for (const std::string& name : names) end(name, "cleared");
  if (!names.empty() || what == "all") return names.size();
  std::vector<std::string_view> known;
  for (const auto& [name, fault] : in_force_) known.push_back(name);
  return fail(ErrorKind::usage,
              fmt::format("no fault is called '{}' or was set on it{}", what,
                          known.empty() ? "; none is in force" : suggestion(what, known, "faults in force")));
}

void FaultBoard::machine_came_up(std::size_t index) {
  ground_->came_up(index);
}

bool FaultBoard::stops(std::string_view word) {
  const auto kinds = fault_kinds();
  return !word.empty() && std::any_of(kinds.begin(), kinds.end(), [&](const FaultKind* kind) {
    return std::find(kind->stopping.begin(), kind->stopping.end(), word) != kind->stopping.end();
  });
}

// Once each, however many faults of a kind there are.
std::vector<std::vector<std::string>> FaultBoard::in_the_way() const {
  std::vector<std::vector<std::string>> ways;
  if (in_force_.empty()) return ways;
  ways.resize(ground_->reach().machines.size());
  const auto add = [&](std::size_t machine, std::string_view word) {
    if (machine >= ways.size()) return;  // the cables of machines come first
    auto& words = ways[machine];
    if (std::find(words.begin(), words.end(), word) == words.end()) words.emplace_back(word);
  };
  for (const auto& [name, fault] : in_force_) {
    const FaultKind& kind = kind_of(fault->spec.effect);
    const std::string_view word = kind.in_the_way == nullptr ? kind.word : kind.in_the_way(fault->spec);
    for (const std::size_t machine : fault->machines) add(machine, word);
    for (const std::size_t cable : fault->cables) {
      if (fault->strikes(cable)) add(cable, word);
    }
  }
  return ways;
}

std::vector<FaultState> FaultBoard::in_force() const {
  std::vector<FaultState> states;
  for (const auto& [name, fault] : in_force_)
    states.push_back({&fault->spec, fault->began, fault->frames(*ground_)});
  return states;
}

}  // namespace rookery::vboot
