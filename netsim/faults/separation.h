// Which stations of the network do not hear which: partitions and one-way cuts. One for a network, asked
// where frames leave it; owned by whoever sets the faults, and outlives the fault points that ask it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "netsim/frame.h"

namespace rookery::netsim {

class Separation {
 public:
  // By station, from 0 (no station's number, see Frame::origin): whose frames are refused where. 0 takes no
  // part; what says 1 is refused where 2 is heard, and so on for all different numbers.
  struct Groups {
    std::vector<std::uint16_t> says, hears;
  };
  using Hit = std::function<void(std::uint16_t station, const Frame& frame)>;

  void set(const std::string& name, Groups groups, Hit hit) {
    rules_[name] = Rule{std::move(groups), std::move(hit)};
  }
  void clear(const std::string& name) { rules_.erase(name); }
  bool empty() const { return rules_.empty(); }

  // Whether the frame may leave the network towards this station. Every rule that refuses it is told.
  bool lets(const Frame& frame, std::uint16_t station) const {
    bool may = true;
    for (const auto& [name, rule] : rules_) {
      const std::uint16_t said = number(rule.groups.says, frame.origin());
      const std::uint16_t heard = number(rule.groups.hears, station);
      if (said == 0 || heard == 0 || said == heard) continue;
      may = false;
      rule.hit(station, frame);
    }
    return may;
  }

 private:
  struct Rule {
    Groups groups;
    Hit hit;
  };
  static std::uint16_t number(const std::vector<std::uint16_t>& of, std::uint16_t station) {
    return station < of.size() ? of[station] : std::uint16_t{0};
  }
  std::map<std::string, Rule> rules_;  // by the fault's name
};

}  // namespace rookery::netsim
