// A fault in force, as the board keeps it. For board.cc and board_kinds.cc alone.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "vboot/faults/board.h"

namespace rookery::vboot {

// The alternatives that are netsim's own, handed over as such.
template <typename Then>
bool if_of_frames(const FaultEffect& effect, Then then) {
  return std::visit(
      [&](const auto& one) {
        if constexpr (std::is_constructible_v<netsim::FrameEffect, decltype(one)>) {
          then(netsim::FrameEffect(one));
          return true;
        } else {
          return false;
        }
      },
      effect);
}

template <typename T>
inline const T* is(const FaultSpec& spec) {
  return std::get_if<T>(&spec.effect);
}

struct FaultBoard::InForce {
  FaultSpec spec;
  unsigned turn = 1;  // the how-manieth of this name
  Time began{};
  std::vector<std::size_t> cables, machines, switches;  // places in the reach
  std::vector<std::vector<std::size_t>> groups;         // of machines: Partition, OneWayCut
  std::shared_ptr<const netsim::FrameFilter> filter;
  std::size_t rules = 0, spent = 0;  // of frames; in all cables and directions
  netsim::FaultCounters refused;     // by separation
  bool pulled = false;               // Flap: just now
  EventId ends, next;
  std::map<std::size_t, EventId> blocked;  // Blocking: cable, and when its port forwards
  std::map<std::size_t, EventId> hellos;
  struct Settling {
    Action then;
    std::size_t left = 1;  // machines that do not stand still yet, and set() itself
  };
  std::shared_ptr<Settling> settling;
  static void one_settled(Settling& of) {
    if (--of.left == 0 && of.then) std::exchange(of.then, nullptr)();
  }
};

}  // namespace rookery::vboot
