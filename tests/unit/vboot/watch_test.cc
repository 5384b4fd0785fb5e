#include <fmt/format.h>

#include "base/file.h"
#include "tests/unit/netsim/packets.h"
#include "vboot/watch/boot_watch.h"
#include "vboot/watch/why.h"

namespace rookery::vboot {
namespace {

using namespace netsim;
using std::chrono::milliseconds;
using S = std::chrono::seconds;

const MacAddress kMac = machine(7);

// A machine without an agent, and what passes on its cable: a frame each 100 ms.
struct Boot {
  BootRecord record;
  BootWatch watch{kMac};
  Time now{};
  std::uint64_t number = 0;

  Boot() { record.power_on(now); }
  Boot& sends(const ByteBuffer& frame) { return passes(Direction::outbound, frame); }
  Boot& hears(const ByteBuffer& frame) { return passes(Direction::inbound, frame); }
  Boot& passes(Direction direction, const ByteBuffer& frame) {
    now = now + milliseconds(100);
    watch.see(record, direction, Frame::copy(frame), now, ++number);
    return *this;
  }
  Boot& has_address(std::string file = "http://10.0.0.1/boot.ipxe") {
    return sends(dhcp_frame({.type = 1}))
        .hears(dhcp_frame({.type = 2, .from_server = true, .your_address = kClient}))
        .sends(dhcp_frame({.type = 3}))
        .hears(dhcp_frame({.type = 5,
                           .from_server = true,
                           .your_address = kClient,
                           .file = std::move(file),
                           .options = {{54, std::string("\x0a\0\0\x01", 4)}}}));
  }
  Boot& connects(std::uint16_t port) {
    return sends(tcp_frame(kClient, 4000, kServer, port, kSyn))
        .hears(tcp_frame(kServer, port, kClient, 4000, kSyn | kAck));
  }
  Boot& gets(const std::string& path, const std::string& answer) {
    connects(80).sends(tcp_frame(kClient, 4000, kServer, 80, kAck, "GET " + path + " HTTP/1.1\r\n\r\n"));
    return answer.empty()
               ? *this
               : hears(tcp_frame(kServer, 80, kClient, 4000, kAck, "HTTP/1.1 " + answer + "\r\n\r\n"));
  }
  // Asked so long after the last frame.
  Why why(Duration later = S(2), const Surroundings& around = {}) const {
    return explain(record, around, now + later);
  }
};

ByteBuffer nbd(bool from_server, ByteView payload) {
  return from_server ? tcp_frame(kServer, 10809, kClient, 4000, kAck, as_text(payload))
                     : tcp_frame(kClient, 4000, kServer, 10809, kAck, as_text(payload));
}

void check(const Why& why, Cause cause, const std::string& sentence) {
  BOOST_TEST(to_string(why.cause) == to_string(cause));
  BOOST_TEST(why.sentence == sentence);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(watch)

BOOST_AUTO_TEST_CASE(finds_the_stages_of_a_machine_without_an_agent_on_its_cable) {
  Boot boot;
  boot.has_address().gets("/boot.ipxe", "200 OK");
  BOOST_TEST(to_string(boot.record.stage) == "script");
  boot.gets("/vmlinuz", "200 OK");
  BOOST_TEST(to_string(boot.record.stage) == "kernel");
  boot.gets("/boot.ipxe", "200 OK");
  BOOST_TEST(to_string(boot.record.stage) == "kernel");
  boot.connects(10809);
  BOOST_TEST(to_string(boot.record.stage) == "root");
  BOOST_TEST(!boot.record.settled());  // its agent may yet speak
  std::string chain;
  for (const auto& reached : boot.record.chain) chain += fmt::format("{} ", to_string(reached.stage));
  BOOST_TEST(chain == "firmware dhcp script kernel root ");
  BOOST_TEST(boot.record.wire.of(WireStep::discover).frame == 1u);
  BOOST_TEST(boot.record.wire.of(WireStep::ack).frame == 4u);
}

BOOST_AUTO_TEST_CASE(a_machine_that_no_agent_speaks_for_is_there_when_its_roots_server_has_taken_it) {
  const auto answer = [](std::uint32_t code) {
    return nbd(true, ByteWriter().be64(0x0003e889045565a9).be32(7).be32(code).be32(0).take());
  };
  Boot boot;
  boot.record.last = Stage::root;
  boot.has_address().gets("/boot.ipxe", "200 OK").gets("/vmlinuz", "200 OK").connects(10809);
  BOOST_TEST(to_string(boot.record.stage) == "root");
  BOOST_TEST(!boot.record.settled());  // the connection is there, the export is not
  Boot refused = boot;
  refused.hears(answer(0x80000006));
  BOOST_TEST(!refused.record.settled());
  BOOST_TEST(to_string(refused.why().cause) == "export-refused");
  boot.hears(answer(1));
  BOOST_TEST(boot.record.arrived());
  check(boot.why(), Cause::none,
        fmt::format("its root comes by NBD since {:.3f} s; what it does with it, no frame tells",
                    seconds(boot.record.wire.of(WireStep::root_accepted).last - Time{})));
  boot.record.power_on(boot.now);  // off and on again, it is the same machine
  BOOST_TEST(!boot.record.settled());
  BOOST_TEST(to_string(boot.record.last) == "root");
}

BOOST_AUTO_TEST_CASE(leaves_what_follows_dhcp_to_the_agent_once_it_spoke) {
  Boot boot;
  boot.record.agent_spoke = true;
  boot.has_address().gets("/boot.ipxe", "200 OK").connects(10809);
  BOOST_TEST(to_string(boot.record.stage) == "dhcp");
  BOOST_TEST(boot.record.wire.count(WireStep::http_answer) == 1u);
}

BOOST_AUTO_TEST_CASE(takes_no_note_of_what_is_not_its_own) {
  Boot boot;
  ByteBuffer of_another = dhcp_frame({.type = 2, .from_server = true});
  of_another[14 + 20 + 8 + 28 + 5] = 9;  // chaddr of machine 9
  boot.hears(of_another);
  boot.hears(tcp_frame(kServer, 80, 0x0a000009, 4000, kAck, "HTTP/1.1 404 Not Found\r\n\r\n"));
  for (const Sighting& sighting : boot.record.wire.steps) BOOST_TEST(sighting.count == 0u);
  BOOST_TEST(boot.record.wire.heard == 2u);
}

// The cheap look must not miss what the dissector would find.
BOOST_AUTO_TEST_CASE(looks_at_every_step_of_a_boot_and_at_no_bulk_data) {
  Dissector dissector;
  for (const ByteBuffer& frame : sample_frames()) {
    const Summary summary = dissector.look(frame);
    if (!summary.is_boot_step()) continue;
    BOOST_TEST(worth_a_look(frame), text(summary));
    const Frame tagged = Frame::copy(frame).tagged(VlanTag{10});
    BOOST_TEST(worth_a_look(tagged.bytes()), text(summary));
  }
  for (std::uint16_t port : {80, 10809}) {
    BOOST_TEST(!worth_a_look(tcp_frame(kServer, port, kClient, 4000, kAck, std::string(1400, 'x'))));
    BOOST_TEST(!worth_a_look(tcp_frame(kClient, 4000, kServer, port, kAck)));
  }
  for (const ByteBuffer& whole : sample_frames()) {
    for (std::size_t size = 0; size < whole.size(); ++size) (void)worth_a_look(ByteView(whole).first(size));
  }
}

BOOST_AUTO_TEST_CASE(names_what_is_missing_of_dhcp) {
  check(Boot().why(), Cause::no_frame, "it has sent nothing on its cable since its power-on at 0.000 s");
  Boot asks;
  for (int i = 0; i < 4; ++i) asks.sends(dhcp_frame({.type = 1}));
  check(asks.why(), Cause::no_offer, "DHCP: 4 DISCOVER, no OFFER");
  asks.hears(dhcp_frame({.type = 2, .from_server = true})).sends(dhcp_frame({.type = 3}));
  check(asks.why(), Cause::no_ack, "DHCP: 4 DISCOVER, 1 OFFER, 1 REQUEST, no ACK");
  asks.hears(dhcp_frame({.type = 6, .from_server = true, .options = {{56, "wrong network"}}}));
  check(asks.why(), Cause::dhcp_refused,
        "DHCP: 4 DISCOVER, 1 OFFER, 1 REQUEST, no ACK, 1 NAK (\"wrong network\")");
  check(Boot().has_address("").why(), Cause::no_boot_file,
        "DHCP: 10.0.0.7 was given by 10.0.0.1, and its answer names no boot file");
}

BOOST_AUTO_TEST_CASE(names_what_is_missing_of_files) {
  check(Boot().has_address().gets("/boot.ipxe", "404 Not Found").why(), Cause::http_error,
        "HTTP: 404 Not Found: http://10.0.0.1/boot.ipxe");
  check(Boot().has_address().gets("/boot.ipxe", "").why(), Cause::no_answer,
        "HTTP: GET http://10.0.0.1/boot.ipxe has no answer");
  check(Boot().has_address().gets("/a", "200 OK").gets("/vmlinuz", "200 OK").why(), Cause::stalled,
        "HTTP: /vmlinuz began to come, and nothing came after 1.200 s");
  Boot tftp;
  tftp.has_address("x.kpxe").sends(udp_frame(kClient, 2070, kServer, 69, tftp_read("x.kpxe")));
  check(tftp.why(), Cause::no_answer, "TFTP: 1 requests for x.kpxe, no answer from 10.0.0.1");
  tftp.hears(udp_frame(kServer, 4000, kClient, 2070,
                       ByteWriter().be16(5).be16(1).text("File not found").u8(0).take()));
  check(tftp.why(), Cause::tftp_error, "TFTP: 10.0.0.1 says of x.kpxe: File not found");
}

// RFC 4443 §3.1: the packet that nobody wanted is in the answer.
BOOST_AUTO_TEST_CASE(hears_by_ipv6_that_nobody_listens) {
  const auto packet = [](std::uint8_t from, std::uint8_t to, std::uint8_t protocol, ByteView payload) {
    ByteWriter bytes;
    bytes.be32(6U << 28).be16(static_cast<std::uint16_t>(payload.size())).u8(protocol).u8(64);
    for (const std::uint8_t last : {from, to}) bytes.be16(0xfd00).zeros(13).u8(last);
    return bytes.bytes(payload).take();
  };
  const auto frame = [](std::uint8_t from, std::uint8_t to, ByteView bytes) {
    return ethernet(machine(to), machine(from), 0x86dd).bytes(bytes).take();
  };
  const ByteBuffer file = tftp_read("x.kpxe");
  ByteWriter datagram;
  datagram.be16(2070).be16(69).be16(static_cast<std::uint16_t>(8 + file.size())).be16(0).bytes(file);
  const ByteBuffer asked = packet(7, 1, 17, datagram.buffer());
  ByteWriter nobody;
  nobody.u8(1).u8(4).be16(0).be32(0).bytes(asked);
  Boot boot;
  boot.has_address("x.kpxe").sends(frame(7, 1, asked)).hears(frame(1, 7, packet(1, 7, 58, nobody.buffer())));
  check(boot.why(), Cause::refused,
        "TFTP: fd00::1 says that nobody listens there at port 69 (it asked for x.kpxe)");
}

BOOST_AUTO_TEST_CASE(names_what_is_missing_of_the_root) {
  Boot refused;
  refused.has_address().connects(10809);
  refused.sends(
      nbd(false, ByteWriter().be32(3).text("IHAVEOPT").be32(7).be32(10).be32(4).text("root").take()));
  refused.hears(nbd(true, ByteWriter().be64(0x0003e889045565a9).be32(7).be32(0x80000006).be32(0).take()));
  check(refused.why(), Cause::export_refused, "NBD: 10.0.0.1 refuses the export 'root': no such export");
  Boot silent;
  silent.has_address().sends(tcp_frame(kClient, 4000, kServer, 3260, kSyn));
  check(silent.why(), Cause::no_answer, "iSCSI: 1 attempt to connect to 10.0.0.1, no answer");
  silent.hears(tcp_frame(kServer, 3260, kClient, 4000, kReset | kAck));
  check(silent.why(), Cause::refused, "iSCSI: 10.0.0.1 refuses the connection: nobody listens there");
}

BOOST_AUTO_TEST_CASE(seeks_the_cause_of_silence_around_the_machine_and_not_that_of_an_answer) {
  Surroundings around;
  around.circumstances = {{Cause::link_down, "its link is down since 2.100 s (fault n7.down)"}};
  Boot boot;
  boot.sends(dhcp_frame({.type = 1}));
  check(boot.why(S(2), around), Cause::link_down,
        "DHCP: 1 DISCOVER, no OFFER; its link is down since 2.100 s (fault n7.down)");
  check(Boot().has_address().gets("/boot.ipxe", "404 Not Found").why(S(2), around), Cause::http_error,
        "HTTP: 404 Not Found: http://10.0.0.1/boot.ipxe");
}

namespace {

const DhcpWords kArm{.type = 1, .options = {{60, "PXEClient:Arch:00011"}, {93, std::string("\0\x0b", 2)}}};
const DhcpWords kBareOffer{.type = 2, .from_server = true, .your_address = kClient};

Surroundings firmware(std::vector<std::string> console) {
  Surroundings around;
  around.has_firmware = true;
  around.console_is_silent = console.empty();
  around.firmware = firmware_says(console);
  return around;
}

// A boot that failed, by its deadline if by nothing else.
Boot& failed(Boot& boot, const std::string& said = "not ready after 60 s", FailedBy by = FailedBy::deadline) {
  boot.record.fail(said, by, boot.now + S(2));
  return boot;
}

struct FirmwareCase {
  std::string broken;
  Boot boot;
  Surroundings around;
  Cause cause;
  std::vector<std::string> parts;  // of the sentence
};

std::vector<FirmwareCase> firmware_cases() {
  std::vector<FirmwareCase> cases;
  const auto add = [&](const std::string& broken, Boot boot, const Surroundings& around, Cause cause,
                       std::vector<std::string> parts) {
    cases.push_back({broken, std::move(failed(boot)), around, cause, std::move(parts)});
  };
  add("a firmware file that is none", Boot(), firmware({}), Cause::dead_firmware,
      {"it has sent nothing on its cable", "nothing on its console"});
  add("firmware that sends no DHCP", Boot(), firmware({"SeaBIOS (version 1.16.2)"}), Cause::no_frame,
      {"it has sent nothing on its cable"});
  add("SeaBIOS without a NIC's ROM", Boot(),
      firmware({"SeaBIOS (version 1.16.2)", "Booting from Hard Disk...", "No bootable device."}),
      Cause::nothing_to_boot, {"its firmware says: No bootable device."});
  add("OVMF without a NIC", Boot(), firmware({"BdsDxe: No bootable option or device was found."}),
      Cause::nothing_to_boot, {"No bootable option or device was found"});
  add("a UEFI for which nothing is served",
      std::move(Boot().sends(dhcp_frame(kArm)).hears(dhcp_frame(kBareOffer))),
      firmware({"  PXE-E16: No valid offer received."}), Cause::wrong_architecture,
      {"1 DISCOVER, 1 OFFER", "architecture 11 (UEFI on 64-bit ARM) (option 93)",
       "its firmware says: PXE-E16: No valid offer received. (no DHCP server offered an address and "
       "something"});
  add("no DHCP server, asked by OVMF", std::move(Boot().sends(dhcp_frame(kArm))),
      firmware({"PXE-E16: No valid offer received."}), Cause::no_offer, {"no OFFER", "PXE-E16"});
  add("no DHCP server, asked by iPXE", std::move(Boot().sends(dhcp_frame({.type = 1}))),
      firmware({"Configuring (net0)... No configuration methods succeeded (http://ipxe.org/040ee119)",
                "No more network devices", "No bootable device."}),
      Cause::no_offer,
      {"no OFFER", "http://ipxe.org/040ee119) (no way to configure its NIC", "No bootable device"});
  Boot tftp;
  tftp.has_address("x.kpxe").sends(udp_frame(kClient, 2070, kServer, 69, tftp_read("x.kpxe")));
  add("a TFTP server that is silent", tftp, firmware({"PXE-E18: Server response timeout."}), Cause::no_answer,
      {"TFTP: 1 requests for x.kpxe, no answer", "PXE-E18"});
  Boot closed = tftp;
  ByteBuffer unreachable = ByteWriter().u8(3).u8(3).zeros(6).u8(0x45).zeros(19).be16(2070).be16(69).take();
  closed.hears(ip4_frame(1, kServer, kClient, unreachable));
  add("nobody at the TFTP port", closed, firmware({}), Cause::refused,
      {"TFTP: 10.0.0.1 says that nobody listens there at port 69"});
  Boot absent = tftp;
  absent.hears(udp_frame(kServer, 4000, kClient, 2070,
                         ByteWriter().be16(5).be16(1).text("File not found").u8(0).take()));
  add("a boot file that is not there", absent, firmware({"PXE-E23: Client received TFTP error from server."}),
      Cause::tftp_error, {"TFTP: 10.0.0.1 says of x.kpxe: File not found", "PXE-E23"});
  Boot kernel;
  kernel.has_address().gets("/boot.ipxe", "200 OK").gets("/vmlinuz", "404 Not Found");
  add("a script without its kernel", kernel,
      firmware({"http://10.0.0.1/vmlinuz... No such file or directory (http://ipxe.org/2d0c613b)"}),
      Cause::http_error, {"HTTP: 404 Not Found: http://10.0.0.1/vmlinuz", "ipxe.org/2d0c613b"});
  Boot script;
  script.has_address().gets("/boot.ipxe", "200 OK");
  add("a script that iPXE cannot run", script,
      firmware({"Could not boot image: Exec format error (https://ipxe.org/2e008081)"}), Cause::stalled,
      {"https://ipxe.org/2e008081) (what was fetched is nothing that it can start)"});
  return cases;
}

}  // namespace

BOOST_AUTO_TEST_CASE(names_what_firmware_lacks_with_its_own_words_as_evidence) {
  for (const FirmwareCase& one : firmware_cases()) {
    const Why why = one.boot.why(S(3), one.around);
    BOOST_TEST(to_string(why.cause) == to_string(one.cause), one.broken << ": " << why.sentence);
    for (const std::string& part : one.parts)
      BOOST_TEST(why.sentence.find(part) != std::string::npos,
                 one.broken << ": " << part << " in " << why.sentence);
  }
}

BOOST_AUTO_TEST_CASE(leaves_firmware_that_is_on_its_way_alone) {
  // What it tried before its NIC: no reason, as long as it goes on.
  Boot boot;
  boot.has_address().gets("/boot.ipxe", "200 OK");
  const Surroundings tried = firmware({"BdsDxe: failed to load Boot0001 \"UEFI QEMU DVD-ROM\": Not Found"});
  BOOST_TEST(to_string(boot.why(milliseconds(100), tried).cause) == "booting");
  // It takes its time to its first word.
  BOOST_TEST(to_string(Boot().why(S(5), firmware({})).cause) == "booting");
  BOOST_TEST(to_string(Boot().why(S(11), firmware({})).cause) == "dead-firmware");
}

BOOST_AUTO_TEST_CASE(a_hypervisor_that_refuses_its_words_is_told_from_a_machine_that_died) {
  const auto why = [](const std::string& said) {
    Boot boot;
    return failed(boot, "it died, " + said, FailedBy::its_end).why();
  };
  const std::string qemu = "QEMU: exit code 1: qemu-system-x86_64: ";
  check(why(qemu + "-foo: invalid option"), Cause::hypervisor_refuses,
        "it died, " + qemu +
            "-foo: invalid option; this QEMU does not know what it was told: it is too old for it, "
            "or the word is wrong");
  const Why port = why(qemu + "-netdev stream: Failed to connect to 'x': Connection refused");
  BOOST_TEST(to_string(port.cause) == "hypervisor-refuses");
  BOOST_TEST(port.sentence.ends_with("; nobody answers at a port that it was told to connect to"));
  const Why file = why(qemu + "could not load PC BIOS 'none'");
  BOOST_TEST(file.sentence.ends_with("; a file that it was told to use cannot be used"));
  BOOST_TEST(to_string(why("QEMU: killed by signal 6 (Aborted)").cause) == "died");
}

BOOST_AUTO_TEST_CASE(names_a_hypervisor_that_is_slower_than_it_could_be_when_the_time_is_over) {
  Surroundings around;
  around.slowness = "QEMU emulates its processor, for /dev/kvm is no use: not done after 0.3 s";
  Boot boot;
  boot.has_address().gets("/boot.ipxe", "200 OK").gets("/vmlinuz", "200 OK");
  boot.record.fail("not ready after 60 s", FailedBy::deadline, boot.now + milliseconds(100));
  check(boot.why(S(2), around), Cause::too_slow, "not ready after 60 s; " + around.slowness);
}

BOOST_AUTO_TEST_CASE(puts_together_what_two_servers_say_of_one_machine) {
  Boot boot;
  boot.sends(dhcp_frame(kArm));
  boot.hears(dhcp_frame({.type = 5, .from_server = true, .your_address = kClient}));
  boot.hears(dhcp_frame({.type = 5, .from_server = true, .proxy = true, .file = "snponly.efi"}));
  BOOST_TEST(boot.record.wire.address.text() == "10.0.0.7");
  BOOST_TEST(boot.record.wire.boot_file == "snponly.efi");
}

BOOST_AUTO_TEST_CASE(says_nothing_is_wrong_while_nothing_is) {
  Boot boot;
  boot.sends(dhcp_frame({.type = 1}));
  check(boot.why(milliseconds(100)), Cause::booting, "in the stage dhcp since 0.100 s");
  boot.record.enter(Stage::ready, "", boot.now);
  check(boot.why(), Cause::none, "ready since 0.100 s, 0.100 s after its power-on");
}

BOOST_AUTO_TEST_CASE(says_what_went_before_a_restart_and_what_was_guessed) {
  Boot boot;
  boot.has_address();
  boot.record.guess("line 3: 'x' is not understood");
  boot.record.guess("line 3: 'x' is not understood");  // in a loop
  const std::string guess =
      "; its boot script was guessed at, an unknown word counts as no: line 3: 'x' is not understood";
  BOOST_TEST(boot.why(milliseconds(1)).sentence.ends_with(guess));
  BOOST_TEST(boot.record.guesses.size() == 1u);
  const BootRecord before = boot.record;
  boot.record.restart(before, "line 9: reboot", Time{S(5)});
  boot.record.restart(BootRecord(boot.record), "line 10: reboot", Time{S(6)});
  BOOST_TEST(boot.record.guesses.empty());
  BOOST_TEST((boot.record.first_on == before.powered_on));
  BOOST_TEST((boot.record.powered_on == Time{S(6)}));
  check(explain(boot.record, {}, Time{S(6)}), Cause::booting,
        "in the stage firmware since 6.000 s; it has restarted itself 2 times before that, the last time: "
        "line 10: "
        "reboot");
  boot.record.guess(std::string(1000, 'x'));
  boot.record.enter(Stage::ready, "", Time{S(7)});
  const Why ready = explain(boot.record, {}, Time{S(8)});
  BOOST_TEST(to_string(ready.cause) == "ready");
  BOOST_TEST(ready.sentence.find("restarted itself 2 times") != std::string::npos);
  BOOST_TEST(ready.sentence.size() < 700u);
  for (char c = 'a'; c < 'z'; ++c) boot.record.guess(std::string(1, c));
  BOOST_TEST(boot.record.guesses.size() == 4u);
}

BOOST_AUTO_TEST_CASE(believes_the_console_before_the_wire) {
  Surroundings around;
  around.memory = mebibytes(24);
  const std::vector<std::string> console{"<0>Kernel panic - not syncing: VFS", "hello"};
  around.panic = panic_line(console);
  Boot boot;
  boot.sends(dhcp_frame({.type = 1}));
  boot.record.fail("it died, killed by signal 6", FailedBy::its_end, boot.now);
  check(boot.why(S(0), around), Cause::panic,
        "it died, killed by signal 6; its kernel panicked: Kernel panic - not syncing: VFS");
  around.out_of_memory = out_of_memory_line({"Out of memory: Killed process 7 (wget)"});
  check(boot.why(S(0), around), Cause::out_of_memory,
        "it died, killed by signal 6; out of memory: it has 24 MiB (console: Out of memory: Killed process 7 "
        "(wget))");
}

BOOST_AUTO_TEST_CASE(believes_firmware_and_boot_loader_that_start_nothing) {
  const auto why = [](const std::vector<std::string>& console) {
    Surroundings around;
    around.no_start = no_start_line(console);
    return Boot().why(S(9), around);
  };
  check(why({"Booting from Hard Disk...", "Boot failed: not a bootable disk", "No bootable device."}),
        Cause::no_disk, "its console says: Boot failed: not a bootable disk");
  check(why({"BdsDxe: No bootable option or device was found."}), Cause::no_disk,
        "its console says: BdsDxe: No bootable option or device was found.");
  check(why({"vmlinuz: HASH MISMATCH", "Rookery: the medium is damaged: see above"}), Cause::bad_medium,
        "its console says: vmlinuz: HASH MISMATCH");
  check(why({"UEFI Interactive Shell v2.2", "Shell> "}), Cause::no_disk,
        "its console says: UEFI Interactive Shell v2.2");
  BOOST_TEST(!no_start_line({"Booting from Hard Disk...", "vmlinuz: OK"}).has_value());
  // What a boot left behind does not count: iPXE has come on after SeaBIOS gave up on a disk.
  Surroundings around;
  around.no_start = no_start_line({"No bootable device."});
  Boot boot;
  boot.sends(dhcp_frame({.type = 1}));
  check(boot.why(S(2), around), Cause::no_offer, "DHCP: 1 DISCOVER, no OFFER");
}

BOOST_AUTO_TEST_CASE(a_machines_own_words_are_told_as_text) {
  Boot boot;
  boot.record.enter(Stage::script, "\x1b[2Jhttp://x/\x9b", boot.now);
  BOOST_TEST(boot.record.detail == "\\x1b[2Jhttp://x/\\x9b");
  boot.record.fail("\x1b]0;owned\x07 no\nroot", FailedBy::itself, boot.now);
  BOOST_TEST(boot.record.reason == "\\x1b]0;owned\\x07 no root");
  BOOST_TEST(boot.record.chain[1].detail == "\\x1b[2Jhttp://x/\\x9b");
}

BOOST_AUTO_TEST_CASE(the_documentation_lists_every_cause_with_its_meaning) {
  const auto text = read_file("docs/why.md", mebibytes(1));
  BOOST_REQUIRE(text.has_value());
  std::size_t last = 0;
  for (const CauseText& one : causes()) {
    const std::size_t at = text->find(fmt::format("| `{}` | {} |", one.word, one.meaning));
    BOOST_TEST(at != std::string::npos, one.word << " | " << one.meaning);
    BOOST_TEST(at >= last, one.word);
    last = at;
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
