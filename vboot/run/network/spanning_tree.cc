#include "vboot/run/network/spanning_tree.h"

#include <algorithm>
#include <limits>

namespace rookery::vboot {
namespace {

constexpr std::uint64_t kUnreached = std::numeric_limits<std::uint64_t>::max();

struct Reach {
  std::uint64_t cost = kUnreached;
  std::size_t by = 0;     // the switch before it, on the way from the root
  std::size_t trunk = 0;  // and the trunk between them
  bool settled = false;
};

}  // namespace

std::uint64_t path_cost(const std::optional<BitRate>& rate) {
  constexpr std::uint64_t kOfOneBit = 20'000'000'000'000;
  if (!rate || rate->bits_per_second == 0) return 1;
  return std::max<std::uint64_t>(1, kOfOneBit / rate->bits_per_second);
}

std::vector<bool> spanning_tree(std::size_t switches, const std::vector<TrunkEnds>& trunks) {
  std::vector<Reach> reach(switches);
  std::vector<bool> used(trunks.size());
  for (std::size_t round = 0; round < switches; ++round) {
    // The nearest switch that is not settled; if none is reached, the first of them is the root of a new
    // part.
    std::size_t nearest = switches;
    for (std::size_t i = 0; i < switches; ++i) {
      if (!reach[i].settled && (nearest == switches || reach[i].cost < reach[nearest].cost)) nearest = i;
    }
    Reach& at = reach[nearest];
    at.settled = true;
    if (at.cost == kUnreached) {
      at.cost = 0;
    } else {
      used[at.trunk] = true;
    }
    for (std::size_t i = 0; i < trunks.size(); ++i) {
      const TrunkEnds& trunk = trunks[i];
      if (!trunk.plugged || (trunk.lower != nearest && trunk.upper != nearest)) continue;
      Reach& other = reach[trunk.lower == nearest ? trunk.upper : trunk.lower];
      const std::uint64_t cost = at.cost + path_cost(trunk.rate);
      // Trunks are looked at in their order, so the first of equals stays; a lower switch goes before it.
      if (other.settled || cost > other.cost || (cost == other.cost && nearest >= other.by)) continue;
      other = {cost, nearest, i, false};
    }
  }
  return used;
}

}  // namespace rookery::vboot
