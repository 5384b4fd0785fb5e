#include "netsim/faults/bpdu.h"

namespace rookery::netsim {

// IEEE 802.1D-2004 §9.3.3, in an LLC frame (IEEE 802.2: 42 42 03) to the bridge group address (table 7-10).
Frame port_state_bpdu(std::uint16_t bridge, std::uint16_t port, bool forwarding) {
  constexpr std::uint64_t kBridgeGroup = 0x0180'c200'0000;
  constexpr std::uint16_t kBpduSize = 36, kLlcSize = 3, kPadded = 60;
  constexpr std::uint8_t kDesignated = 3 << 2, kLearning = 1 << 4, kForwarding = 1 << 5;
  constexpr std::uint16_t kPriority = 0x8000;
  // Locally administered; "RS" and the two numbers.
  const std::uint64_t address =
      0x0252'5300'0000 | std::uint64_t{bridge & 0xfffu} << 12 | std::uint64_t{port & 0xfffu};
  const std::uint64_t bridge_address = address & ~std::uint64_t{0xfff};
  const auto put48 = [](ByteWriter& to, std::uint64_t bits) {
    to.be16(static_cast<std::uint16_t>(bits >> 32)).be32(static_cast<std::uint32_t>(bits));
  };
  ByteWriter frame;
  put48(frame, kBridgeGroup);
  put48(frame, address);
  frame.be16(kLlcSize + kBpduSize).u8(0x42).u8(0x42).u8(3);
  frame.be16(0).u8(2).u8(2);  // protocol, version, type: RST BPDU
  frame.u8(kDesignated | (forwarding ? kLearning | kForwarding : 0));
  frame.be16(kPriority);
  put48(frame, bridge_address);
  frame.be32(0);  // root path cost: it is the root
  frame.be16(kPriority);
  put48(frame, bridge_address);
  frame.be16(static_cast<std::uint16_t>(kPriority | (port & 0xfffu)));
  // Message age 0, maximum age 20 s, hello time 2 s, forward delay 15 s, in 1/256 s; no version 1
  // information.
  frame.be16(0).be16(20 << 8).be16(2 << 8).be16(15 << 8).u8(0);
  frame.zeros(kPadded - frame.buffer().size());
  return Frame::copy(frame.buffer());
}

}  // namespace rookery::netsim
