// What was refused or lost of a machine's frames, requests and words, for whoever asks why it does not get
// on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json/json.h"

namespace rookery::vboot {

struct Refusal {
  std::string_view where;  // "network card"
  std::string_view what;   // "frames that are none"
  std::uint64_t count;
  bool is_loss = false;  // for want of room, as on any network: nothing that is wrong with it
};

class Node;

// The keys `refused` and `given_up`, of a machine that has them.
void add_refusals(Json& machine, const Node& node);
// "2 frames that are none (network card), 1 requests that are too long (disk)", without mere losses; empty
// without any.
std::string in_words(const std::vector<Refusal>& refusals);
// Of all machines: how full the pool of frames is.
Json frame_pool();

}  // namespace rookery::vboot
