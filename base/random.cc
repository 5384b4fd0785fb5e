#include "base/random.h"

#include <bit>

#include "base/digest.h"
#include "base/result.h"

namespace rookery {

Random::Random(std::uint64_t seed, std::string_view stream) {
  ByteWriter key;
  key.be64(seed).text(stream);
  const Digest256 digest = blake2b(key.buffer());
  ByteReader reader(digest);
  for (std::uint64_t& word : state_) word = reader.be64();
}

std::uint64_t Random::next() {
  const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::uint64_t Random::below(std::uint64_t bound) {
  if (bound == 0) bug("Random::below(0)");
  // Numbers under `unfair` would make the low values likelier: drawn again (on average less than twice).
  const std::uint64_t unfair = -bound % bound;
  std::uint64_t drawn;
  do drawn = next();
  while (drawn < unfair);
  return drawn % bound;
}

double Random::unit() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

}  // namespace rookery
