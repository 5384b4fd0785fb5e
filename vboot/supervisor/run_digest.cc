#include "vboot/supervisor/run_digest.h"

namespace rookery::vboot {

void RunDigest::seen(std::uint32_t tag, netsim::Direction direction, const netsim::Frame& frame) {
  ++count_;
  ByteWriter header;
  header.be64(static_cast<std::uint64_t>(loop_.now().since_start.count())).be32(tag);
  header.u8(static_cast<std::uint8_t>(direction)).be32(static_cast<std::uint32_t>(frame.size()));
  frames_.add(header.buffer()).add(frame.bytes());
}

void RunDigest::console(const std::string& machine, std::string_view bytes) {
  auto& hasher = consoles_[machine];
  if (!hasher) hasher = std::make_unique<Hasher>(Hasher::Kind::blake2b);
  hasher->add(as_bytes(bytes));
}

Digest256 RunDigest::finish() {
  for (auto& [machine, hasher] : consoles_) frames_.add(as_bytes(machine)).add(hasher->finish());
  return frames_.finish();
}

}  // namespace rookery::vboot
