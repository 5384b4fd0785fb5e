// Which trunks of a lab are in use: where there are several ways between switches, one of them, so that no
// frame goes round. Pure: the same trunks give the same tree.
//
// This is what IEEE 802.1D's protocol would agree on, computed in one place instead of by messages: the root
// is the first switch of the lab file, every other switch reaches it by the least cost, and ties go to the
// switch, then to the trunk, that stands first in the file. Parts that are cut off have a root of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "vboot/lab/quantity.h"

namespace rookery::vboot {

struct TrunkEnds {
  std::size_t lower = 0, upper = 0;  // switches
  std::optional<BitRate> rate;       // its cost
  bool plugged = true;
};

// IEEE 802.1D-2004 table 17-3: 20 Tbit/s over the rate, at least 1; also of a trunk without a rate.
std::uint64_t path_cost(const std::optional<BitRate>& rate);

// For each trunk, whether it is in use.
std::vector<bool> spanning_tree(std::size_t switches, const std::vector<TrunkEnds>& trunks);

}  // namespace rookery::vboot
