#include "vboot/watch/wire_machines.h"

#include <fmt/format.h>

#include "tests/unit/netsim/packets.h"
#include "vboot/watch/why.h"

namespace rookery::vboot {
namespace {

using namespace netsim;
using std::chrono::milliseconds;

const std::string kArchitecture("\0\0", 2);
const DhcpWords kPxe{.type = 1, .options = {{60, "PXEClient:Arch:00000"}, {93, kArchitecture}}};
const DhcpWords kIpxe{.type = 1,
                      .options = {{60, "PXEClient:Arch:00000"}, {93, kArchitecture}, {77, "iPXE"}}};

// An uplink on which machine 7 boots, a frame each 100 ms; what is told of it.
struct Wire {
  WireMachines machines;
  Time now{};
  std::string told;

  Wire& from_wire(const ByteBuffer& frame) { return passes(true, frame); }
  Wire& to_wire(const ByteBuffer& frame) { return passes(false, frame); }
  Wire& passes(bool from, const ByteBuffer& frame) {
    now = now + milliseconds(100);
    if (const WireMachine* changed = machines.see(from, Frame::copy(frame), now, 0))
      told += fmt::format("{} ", to_string(changed->boot.stage));
    return *this;
  }
  Wire& gets(const std::string& path) {
    return from_wire(tcp_frame(kClient, 4000, kServer, 80, kSyn))
        .to_wire(tcp_frame(kServer, 80, kClient, 4000, kSyn | kAck))
        .from_wire(tcp_frame(kClient, 4000, kServer, 80, kAck, "GET " + path + " HTTP/1.1\r\n\r\n"))
        .to_wire(tcp_frame(kServer, 80, kClient, 4000, kAck, "HTTP/1.1 200 OK\r\n\r\n"));
  }
  // Up to a kernel, by iPXE.
  Wire& boots() {
    from_wire(dhcp_frame(kIpxe));
    to_wire(dhcp_frame({.type = 2, .from_server = true, .your_address = kClient}));
    to_wire(dhcp_frame(
        {.type = 5, .from_server = true, .your_address = kClient, .file = "http://10.0.0.1/boot.ipxe"}));
    return gets("/boot.ipxe").gets("/vmlinuz");
  }
  Wire& mounts() {
    from_wire(tcp_frame(kClient, 4001, kServer, 10809, kSyn));
    to_wire(tcp_frame(kServer, 10809, kClient, 4001, kSyn | kAck));
    return to_wire(
        tcp_frame(kServer, 10809, kClient, 4001, kAck,
                  as_text(ByteWriter().be64(0x0003e889045565a9).be32(7).be32(1).be32(0).buffer())));
  }
  const WireMachine& only() const {
    BOOST_REQUIRE(machines.in_order().size() == 1u);
    return *machines.in_order().front();
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(wire_machines)

BOOST_AUTO_TEST_CASE(finds_a_physical_machine_when_its_firmware_asks_to_be_booted_and_follows_it) {
  Wire wire;
  wire.boots().mounts();
  BOOST_TEST(wire.told == "dhcp script kernel root ");
  BOOST_TEST(wire.only().mac.text() == machine(7).text());
  BOOST_TEST(wire.only().address.text() == "10.0.0.7");
  BOOST_TEST(wire.only().boots == 1u);
  BOOST_TEST(wire.machines.find(machine(7).text()) == &wire.only());
}

BOOST_AUTO_TEST_CASE(keeps_nobody_who_only_wants_an_address_or_talks_to_others) {
  Wire wire;
  wire.from_wire(dhcp_frame({.type = 1, .options = {{60, "MSFT 5.0"}}}));
  wire.from_wire(tcp_frame(kClient, 4000, kServer, 80, kAck, "GET /boot.ipxe HTTP/1.1\r\n\r\n"));
  wire.to_wire(tcp_frame(kServer, 80, kClient, 4000, kAck, "HTTP/1.1 200 OK\r\n\r\n"));
  BOOST_TEST(wire.machines.in_order().empty());
  BOOST_TEST(wire.told == "");
}

// Stage two asks DHCP in iPXE's words: that is the same boot. Whoever asks with a root has restarted, and so
// has other firmware than iPXE, and who fetches the script anew.
BOOST_AUTO_TEST_CASE(tells_a_restart_from_the_booted_systems_own_questions) {
  Wire wire;
  wire.boots().from_wire(dhcp_frame(kIpxe));
  BOOST_TEST(to_string(wire.only().boot.stage) == "kernel");
  wire.mounts();
  BOOST_TEST(wire.only().boots == 1u);
  wire.boots();
  BOOST_TEST(wire.only().boots == 2u);
  BOOST_TEST(to_string(wire.only().boot.stage) == "kernel");
  wire.from_wire(dhcp_frame(kPxe));
  BOOST_TEST(wire.only().boots == 3u);
  BOOST_TEST(to_string(wire.only().boot.stage) == "dhcp");
  wire.boots().boots();
  BOOST_TEST(wire.only().boots == 4u);
  BOOST_TEST(wire.told == "dhcp script kernel root dhcp script kernel dhcp script kernel script kernel ");
}

BOOST_AUTO_TEST_CASE(hears_what_a_dhcp_server_on_the_wire_says_to_a_machine) {
  Wire wire;
  wire.from_wire(dhcp_frame(kIpxe));
  wire.from_wire(dhcp_frame({.type = 5, .from_server = true, .your_address = kClient}));
  wire.to_wire(
      dhcp_frame({.type = 5, .from_server = true, .proxy = true, .file = "http://10.0.0.1/uplink.ipxe"}));
  BOOST_TEST(wire.only().address.text() == "10.0.0.7");
  BOOST_TEST(wire.only().boot.wire.boot_file == "http://10.0.0.1/uplink.ipxe");
}

BOOST_AUTO_TEST_CASE(says_what_is_missing_of_a_boot_and_that_nothing_is_once_the_root_came) {
  Wire wire;
  wire.from_wire(dhcp_frame(kPxe));
  const auto later = wire.now + std::chrono::seconds(5);
  BOOST_TEST(to_string(explain(wire.only().boot, {}, later).cause) == "no-offer");
  wire.boots().mounts();
  const Why why = explain(wire.only().boot, {}, wire.now + std::chrono::hours(1));
  BOOST_TEST(to_string(why.cause) == "ready");
  BOOST_TEST(why.sentence.find("its root comes by NBD since") == 0u);
}

BOOST_AUTO_TEST_CASE(keeps_a_bounded_number_of_machines) {
  Wire wire;
  for (unsigned i = 0; i < WireMachines::kMachines + 3; ++i) {
    ByteBuffer frame = dhcp_frame(kPxe);
    for (const std::size_t at : {std::size_t{6}, std::size_t{14 + 20 + 8 + 28}}) {
      frame[at + 3] = 1;
      frame[at + 4] = static_cast<std::uint8_t>(i >> 8);
      frame[at + 5] = static_cast<std::uint8_t>(i);
    }
    wire.from_wire(frame);
  }
  BOOST_TEST(wire.machines.in_order().size() == WireMachines::kMachines);
  BOOST_TEST(wire.machines.left_out() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
