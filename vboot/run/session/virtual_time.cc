#include "vboot/run/session/virtual_time.h"

#include <algorithm>

namespace rookery::vboot {

LockstepRules lockstep_rules(const LabPlan& plan) {
  LockstepRules rules;
  rules.lookahead = kLongestLookahead;
  for (const MachinePlan& machine : plan.machines)
    rules.lookahead = std::min(rules.lookahead, machine.link.delay);
  rules.lookahead = std::max(rules.lookahead, kShortestCable);
  return rules;
}

}  // namespace rookery::vboot
