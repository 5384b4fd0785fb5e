#include "netsim/dissect.h"

#include "base/random.h"
#include "netsim_test.h"
#include "packets.h"

namespace rookery::netsim {
namespace {

std::string line_of(const ByteBuffer& frame) {
  return text(Dissector().look(frame));
}

BOOST_AUTO_TEST_CASE(reads_a_discover_of_a_boot_rom) {
  const auto summary = Dissector().look(dhcp_frame(
      {.type = 1, .options = {{12, "n7"}, {60, "PXEClient:Arch:00000:UNDI:002001"}, {77, "iPXE"}}}));
  const auto* dhcp = summary.as<DhcpSeen>();
  BOOST_REQUIRE(dhcp != nullptr);
  BOOST_TEST((dhcp->type == DhcpType::discover));
  BOOST_TEST(dhcp->client == machine(7));
  BOOST_TEST(dhcp->transaction == 0x01020304U);
  BOOST_TEST(dhcp->host_name == "n7");
  BOOST_TEST(dhcp->vendor_class == "PXEClient:Arch:00000:UNDI:002001");
  BOOST_TEST(dhcp->user_class == "iPXE");
  BOOST_TEST(!dhcp->from_server);
  BOOST_TEST(text(summary) ==
             "DHCP DISCOVER from 52:54:00:00:00:07, host n7, vendor class PXEClient:Arch:00000:UNDI:002001, "
             "user class iPXE");
}

BOOST_AUTO_TEST_CASE(reads_a_plain_discover) {
  BOOST_TEST(line_of(dhcp_frame({.type = 1})) == "DHCP DISCOVER from 52:54:00:00:00:07");
}

BOOST_AUTO_TEST_CASE(reads_an_offer) {
  const auto frame = dhcp_frame({.type = 2,
                                 .from_server = true,
                                 .your_address = 0x0a000011,
                                 .next_server = 0x0a000001,
                                 .file = "boot.ipxe"});
  BOOST_TEST(line_of(frame) ==
             "DHCP OFFER of 10.0.0.17 to 52:54:00:00:00:07, next server 10.0.0.1, file boot.ipxe");
}

BOOST_AUTO_TEST_CASE(reads_the_file_from_option_67_if_the_field_is_empty) {
  const auto summary =
      Dissector().look(dhcp_frame({.type = 5, .from_server = true, .options = {{67, "x.efi"}}}));
  BOOST_TEST(summary.as<DhcpSeen>()->file == "x.efi");
}

BOOST_AUTO_TEST_CASE(reads_why_a_nak) {
  BOOST_TEST(
      line_of(dhcp_frame({.type = 6, .from_server = true, .options = {{56, "no address available"}}})) ==
      "DHCP NAK to 52:54:00:00:00:07: no address available");
}

BOOST_AUTO_TEST_CASE(reads_a_user_class_with_a_length_byte) {
  const auto summary =
      Dissector().look(dhcp_frame({.type = 1, .options = {{77, std::string("\x04iPXE", 5)}}}));
  BOOST_TEST(summary.as<DhcpSeen>()->user_class == "iPXE");
}

BOOST_AUTO_TEST_CASE(reads_proxy_dhcp_at_its_port) {
  BOOST_TEST(line_of(dhcp_frame({.type = 3, .proxy = true})) == "proxyDHCP REQUEST from 52:54:00:00:00:07");
}

BOOST_AUTO_TEST_CASE(is_not_upset_by_damaged_dhcp) {
  const ByteBuffer whole = dhcp_frame({.type = 1, .options = {{12, "n7"}}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto summary = Dissector().look(ByteView(whole).first(size));
    if (const auto* dhcp = summary.as<DhcpSeen>()) BOOST_TEST(dhcp->host_name.size() <= 2U);
  }
  ByteBuffer broken = whole;
  broken[14 + 20 + 8 + 240 + 4] = 200;  // the host name's length
  BOOST_TEST((Dissector().look(broken).as<DhcpSeen>() == nullptr || Dissector().look(broken).is_boot_step()));
}

BOOST_AUTO_TEST_CASE(makes_text_from_the_wire_harmless) {
  const auto summary = Dissector().look(dhcp_frame({.type = 1, .options = {{12, "a\x1b[2Jb\\\n"}}}));
  BOOST_TEST(summary.as<DhcpSeen>()->host_name == "a\\x1b[2Jb\\x5c\\x0a");
  const auto long_name =
      Dissector().look(dhcp_frame({.type = 1, .options = {{12, std::string(255, '\x01')}}}));
  BOOST_TEST(long_name.as<DhcpSeen>()->host_name.size() <= kLongestWireText);
}

BOOST_AUTO_TEST_CASE(looks_behind_a_vlan_tag) {
  const ByteBuffer plain = dhcp_frame({.type = 1});
  const Frame tagged = Frame::copy(plain).tagged(VlanTag{10});
  const auto summary = Dissector().look(tagged.bytes());
  BOOST_TEST(summary.vlan.value() == 10);
  BOOST_TEST(summary.as<DhcpSeen>() != nullptr);
}

BOOST_AUTO_TEST_CASE(follows_a_tftp_transfer_to_a_port_it_did_not_know) {
  Dissector dissector;
  const auto read = dissector.look(udp_frame(kClient, 2070, kServer, 69, tftp_read("undionly.kpxe")));
  BOOST_TEST(text(read) == "TFTP read of undionly.kpxe, 10.0.0.7 to 10.0.0.1");
  const ByteBuffer data = ByteWriter().be16(3).be16(1).zeros(512).take();
  BOOST_TEST(text(dissector.look(udp_frame(kServer, 40'000, kClient, 2070, data))) ==
             "TFTP data, block 1, 512 bytes, 10.0.0.1 to 10.0.0.7");
  const ByteBuffer ack = ByteWriter().be16(4).be16(1).take();
  BOOST_TEST(text(dissector.look(udp_frame(kClient, 2070, kServer, 40'000, ack))) ==
             "TFTP ack of block 1, 10.0.0.7 to 10.0.0.1");
  const ByteBuffer error = ByteWriter().be16(5).be16(1).text("File not found").u8(0).take();
  BOOST_TEST(text(dissector.look(udp_frame(kServer, 40'001, kClient, 2070, error))) ==
             "TFTP error 1: File not found, 10.0.0.1 to 10.0.0.7");
  BOOST_TEST(!dissector.look(udp_frame(kServer, 40'000, kClient, 2071, data)).is_boot_step());
}

BOOST_AUTO_TEST_CASE(remembers_only_so_many_transfers_and_forgets_the_oldest) {
  Dissector dissector;
  const ByteBuffer data = ByteWriter().be16(3).be16(1).zeros(8).take();
  for (std::size_t i = 0; i <= Dissector::kTransfers; ++i) {
    dissector.look(udp_frame(kClient, static_cast<std::uint16_t>(1000 + i), kServer, 69, tftp_read("x")));
  }
  BOOST_TEST(!dissector.look(udp_frame(kServer, 40'000, kClient, 1000, data)).is_boot_step());
  BOOST_TEST(dissector.look(udp_frame(kServer, 40'000, kClient, 1001, data)).is_boot_step());
}

BOOST_AUTO_TEST_CASE(reads_http_requests_and_answers) {
  BOOST_TEST(
      line_of(tcp_frame(kClient, 40'000, kServer, 80, kAck, "GET /boot.ipxe HTTP/1.1\r\nHost: x\r\n")) ==
      "HTTP GET /boot.ipxe, 10.0.0.7 to 10.0.0.1");
  BOOST_TEST(line_of(tcp_frame(kServer, 80, kClient, 40'000, kAck, "HTTP/1.1 404 Not Found\r\n\r\n")) ==
             "HTTP 404 Not Found, 10.0.0.1 to 10.0.0.7");
  BOOST_TEST(line_of(tcp_frame(kServer, 80, kClient, 40'000, kAck, "HTTP/1.0 200 OK\r\n\r\n")) ==
             "HTTP 200 OK, 10.0.0.1 to 10.0.0.7");
}

BOOST_AUTO_TEST_CASE(does_not_take_other_data_for_http) {
  for (const char* payload : {"HTTP/1.1 4x4 ", "HTTP/1.1", "GETTING on", "GET ", "hsqs", ""}) {
    BOOST_TEST(!Dissector().look(tcp_frame(kServer, 80, kClient, 40'000, kAck, payload)).is_boot_step(),
               payload);
  }
}

BOOST_AUTO_TEST_CASE(reads_connections_to_an_nbd_server) {
  BOOST_TEST(line_of(tcp_frame(kClient, 40'000, kServer, 10809, kSyn)) ==
             "NBD connection asked for, 10.0.0.7 to 10.0.0.1");
  BOOST_TEST(line_of(tcp_frame(kServer, 10809, kClient, 40'000, kSyn | kAck)) ==
             "NBD connection accepted, 10.0.0.1 to 10.0.0.7");
  BOOST_TEST(line_of(tcp_frame(kServer, 10809, kClient, 40'000, kReset | kAck)) ==
             "NBD connection reset by the server, 10.0.0.1 to 10.0.0.7");
  BOOST_TEST(!Dissector().look(tcp_frame(kClient, 40'000, kServer, 22, kSyn)).is_boot_step());
}

ByteBuffer nbd_reply(std::uint32_t type, std::string_view text) {
  return ByteWriter()
      .be64(0x0003e889045565a9)
      .be32(7)
      .be32(type)
      .be32(static_cast<std::uint32_t>(text.size()))
      .text(text)
      .take();
}
std::string nbd_line(bool from_server, ByteView payload) {
  return line_of(from_server ? tcp_frame(kServer, 10809, kClient, 40'000, kAck, as_text(payload))
                             : tcp_frame(kClient, 40'000, kServer, 10809, kAck, as_text(payload)));
}

BOOST_AUTO_TEST_CASE(reads_what_an_nbd_client_and_server_agree_on) {
  const ByteBuffer greeting = ByteWriter().text("NBDMAGICIHAVEOPT").be16(3).take();
  BOOST_TEST(nbd_line(true, greeting) == "NBD greeting, 10.0.0.1 to 10.0.0.7");
  ByteWriter go;
  go.be32(3).text("IHAVEOPT").be32(7).be32(10).be32(4).text("root").be16(0);
  BOOST_TEST(nbd_line(false, go.buffer()) == "NBD export 'root' asked for, 10.0.0.7 to 10.0.0.1");
  ByteBuffer good = nbd_reply(3, "............"), end = nbd_reply(1, "");
  good.insert(good.end(), end.begin(), end.end());
  BOOST_TEST(nbd_line(true, good) == "NBD export accepted, 10.0.0.1 to 10.0.0.7");
  BOOST_TEST(nbd_line(true, nbd_reply(0x80000006, "no export")) ==
             "NBD export refused: no such export, no export, 10.0.0.1 to 10.0.0.7");
  const ByteBuffer data = ByteWriter().be32(0x67446698).zeros(60).take();  // a reply with data: no handshake
  BOOST_TEST(nbd_line(true, data).starts_with("ethertype"));
}

BOOST_AUTO_TEST_CASE(reads_the_architecture_of_a_boot_rom) {
  const auto seen = Dissector().look(dhcp_frame({.type = 1, .options = {{93, std::string("\x00\x07", 2)}}}));
  BOOST_TEST(seen.as<DhcpSeen>()->architecture.value() == 7);
  BOOST_TEST(!Dissector().look(dhcp_frame({.type = 1})).as<DhcpSeen>()->architecture.has_value());
}

BOOST_AUTO_TEST_CASE(reads_that_nobody_listens) {
  ByteWriter message;
  message.u8(3).u8(3).be16(0).be32(0);
  const ByteBuffer asked = udp_frame(kClient, 2070, kServer, 69, tftp_read("x"));
  message.bytes(ByteView(asked).subspan(14, 28));
  BOOST_TEST(line_of(ip4_frame(1, kServer, kClient, message.buffer())) ==
             "10.0.0.1 says to 10.0.0.7: port 69 unreachable (code 3)");
}

BOOST_AUTO_TEST_CASE(reads_arp) {
  ByteWriter frame = ethernet(MacAddress::broadcast(), machine(7), 0x0806);
  frame.be16(1).be16(0x0800).u8(6).u8(4).be16(1);
  ByteBuffer sender(6);
  machine(7).write(sender.data());
  frame.bytes(sender).be32(kClient).zeros(6).be32(kServer);
  BOOST_TEST(line_of(frame.buffer()) == "ARP who has 10.0.0.1, asks 10.0.0.7");
  ByteBuffer reply = frame.buffer();
  reply[21] = 2;
  BOOST_TEST(line_of(reply) == "ARP 10.0.0.7 is at 52:54:00:00:00:07");
}

BOOST_AUTO_TEST_CASE(reads_router_solicitations_and_advertisements) {
  BOOST_TEST(line_of(ip6_frame(58, ByteWriter().u8(133).u8(0).be16(0).be32(0).take())) ==
             "router solicitation from fe80::7");
  const auto summary =
      Dissector().look(ip6_frame(58, ByteWriter().u8(134).u8(0).be16(0).be16(0).be16(1800).take()));
  BOOST_TEST(summary.as<RouterSeen>()->is_advertisement);
  BOOST_TEST(summary.as<RouterSeen>()->lifetime_seconds == 1800);
}

BOOST_AUTO_TEST_CASE(follows_only_so_many_extension_headers) {
  for (unsigned count : {1U, 7U, 8U, 9U, 60U}) {
    ByteWriter payload;
    for (unsigned i = 0; i + 1 < count; ++i) payload.u8(60).u8(0).zeros(6);
    payload.u8(58).u8(0).zeros(6).u8(133).u8(0).be16(0).be32(0);
    BOOST_TEST(Dissector().look(ip6_frame(60, payload.take())).is_boot_step() == (count <= 8), count);
  }
}

BOOST_AUTO_TEST_CASE(says_little_of_a_frame_that_is_nothing_known) {
  BOOST_TEST(text(Dissector().look(make_frame(machine(2), machine(7), 60).bytes())) ==
             "ethertype 0x88b5 from 52:54:00:00:00:07");
  BOOST_TEST(!Dissector().look({}).is_boot_step());
}

BOOST_AUTO_TEST_CASE(survives_every_cut_and_many_changed_bytes) {
  constexpr std::uint64_t kSeed = 7;
  Random random(kSeed, "dissect_test");
  Dissector dissector;
  for (const ByteBuffer& whole : sample_frames()) {
    for (std::size_t size = 0; size <= whole.size(); ++size)
      text(dissector.look(ByteView(whole).first(size)));
    for (int i = 0; i < 5000; ++i) {
      ByteBuffer changed = whole;
      for (int n = 0; n < 8; ++n)
        changed[random.below(changed.size())] = static_cast<std::uint8_t>(random.next());
      BOOST_REQUIRE(text(dissector.look(changed)).size() < 2000);
    }
  }
}

}  // namespace
}  // namespace rookery::netsim
