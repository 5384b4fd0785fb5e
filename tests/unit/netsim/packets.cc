#include "packets.h"

namespace rookery::netsim {

ByteWriter ethernet(MacAddress to, MacAddress from, std::uint16_t ethertype) {
  ByteWriter writer;
  for (MacAddress address : {to, from}) {
    writer.be16(static_cast<std::uint16_t>(address.bits() >> 32))
        .be32(static_cast<std::uint32_t>(address.bits()));
  }
  writer.be16(ethertype);
  return writer;
}

ByteBuffer ip4_frame(std::uint8_t protocol, std::uint32_t from, std::uint32_t to, ByteView payload) {
  ByteWriter frame = ethernet(machine(to & 0xff), machine(from & 0xff), 0x0800);
  frame.u8(0x45)
      .u8(0)
      .be16(static_cast<std::uint16_t>(20 + payload.size()))
      .be16(0)
      .be16(0)
      .u8(64)
      .u8(protocol);
  frame.be16(0).be32(from).be32(to).bytes(payload);
  return frame.take();
}

ByteBuffer ip6_frame(std::uint8_t next_header, ByteView payload) {
  ByteWriter frame = ethernet(MacAddress::from_bits(0x333300000002), machine(7), 0x86dd);
  frame.be32(6U << 28).be16(static_cast<std::uint16_t>(payload.size())).u8(next_header).u8(255);
  frame.be16(0xfe80).zeros(13).u8(7).be16(0xff02).zeros(13).u8(2).bytes(payload);
  return frame.take();
}

ByteBuffer udp_frame(std::uint32_t from, std::uint16_t from_port, std::uint32_t to, std::uint16_t to_port,
                     ByteView payload) {
  ByteWriter datagram;
  datagram.be16(from_port)
      .be16(to_port)
      .be16(static_cast<std::uint16_t>(8 + payload.size()))
      .be16(0)
      .bytes(payload);
  return ip4_frame(17, from, to, datagram.buffer());
}

ByteBuffer tcp_frame(std::uint32_t from, std::uint16_t from_port, std::uint32_t to, std::uint16_t to_port,
                     std::uint8_t flags, std::string_view payload) {
  ByteWriter segment;
  segment.be16(from_port).be16(to_port).be32(1).be32(1).u8(0x50).u8(flags).be16(1000).be32(0).text(payload);
  return ip4_frame(6, from, to, segment.buffer());
}

ByteBuffer tftp_read(std::string_view file) {
  return ByteWriter().be16(1).text(file).u8(0).text("octet").u8(0).take();
}

ByteBuffer dhcp_frame(const DhcpWords& words) {
  ByteWriter message;
  message.u8(words.from_server ? 2 : 1).u8(1).u8(6).u8(0).be32(0x01020304).be32(0).be32(0);
  message.be32(words.your_address).be32(words.next_server).be32(0);
  ByteBuffer hardware(16);
  machine(7).write(hardware.data());
  message.bytes(hardware).zeros(64).text(words.file).zeros(128 - words.file.size());
  message.be32(0x63825363).u8(53).u8(1).u8(words.type);
  for (const auto& [code, value] : words.options) {
    message.u8(code).u8(static_cast<std::uint8_t>(value.size())).text(value);
  }
  message.u8(255);
  const std::uint16_t server = words.proxy ? 4011 : 67;
  if (words.from_server) return udp_frame(kServer, server, kClient, 68, message.buffer());
  return udp_frame(kClient, 68, kServer, server, message.buffer());
}

std::vector<ByteBuffer> sample_frames() {
  return {
      dhcp_frame({.type = 1, .options = {{12, "n7"}, {60, "PXEClient"}, {77, "iPXE"}}}),
      dhcp_frame({.type = 2,
                  .from_server = true,
                  .your_address = kClient,
                  .next_server = kServer,
                  .file = "b.ipxe"}),
      dhcp_frame({.type = 3, .proxy = true}),
      udp_frame(kClient, 2070, kServer, 69, tftp_read("undionly.kpxe")),
      udp_frame(kServer, 40'000, kClient, 2070, ByteWriter().be16(3).be16(1).zeros(64).take()),
      udp_frame(kServer, 40'000, kClient, 2070,
                ByteWriter().be16(5).be16(1).text("File not found").u8(0).take()),
      tcp_frame(kClient, 40'000, kServer, 80, kAck, "GET /boot.ipxe HTTP/1.1\r\n\r\n"),
      tcp_frame(kServer, 80, kClient, 40'000, kAck, "HTTP/1.1 404 Not Found\r\n\r\n"),
      tcp_frame(kClient, 40'000, kServer, 10809, kSyn),
      tcp_frame(kServer, 10809, kClient, 40'000, kReset | kAck),
      tcp_frame(
          kServer, 10809, kClient, 40'000, kAck,
          as_text(
              ByteWriter().be64(0x0003e889045565a9).be32(7).be32(0x80000006).be32(4).text("gone").buffer())),
      tcp_frame(kClient, 40'000, kServer, 10809, kAck,
                as_text(ByteWriter().be32(3).text("IHAVEOPT").be32(7).be32(6).be32(4).text("root").buffer())),
      ip6_frame(58, ByteWriter().u8(134).u8(0).be16(0).be16(0).be16(1800).take()),
      ip6_frame(
          0, ByteWriter().u8(44).u8(0).zeros(6).u8(58).u8(0).zeros(6).u8(133).u8(0).be16(0).be32(0).take()),
      ip4_frame(1, kServer, kClient, ByteWriter().u8(3).u8(3).zeros(6).u8(0x45).zeros(30).take()),
  };
}

}  // namespace rookery::netsim
