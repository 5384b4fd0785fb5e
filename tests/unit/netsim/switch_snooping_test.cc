#include "netsim/snooping.h"
#include "netsim/switch.h"
#include "packets.h"

namespace rookery::netsim {
namespace {

using Counts = std::vector<std::size_t>;
constexpr std::uint32_t kThird = 0x0a000003;

ByteBuffer broadcast(ByteBuffer bytes) {
  MacAddress::broadcast().write(bytes.data());
  return bytes;
}
ByteBuffer from_machine(ByteBuffer bytes, unsigned n) {
  machine(n).write(bytes.data() + 6);
  return bytes;
}
ByteBuffer arp(std::uint16_t operation, MacAddress to, unsigned from, std::uint32_t sender,
               std::uint32_t target) {
  ByteWriter frame = ethernet(to, machine(from), 0x0806);
  ByteBuffer hardware(6);
  machine(from).write(hardware.data());
  frame.be16(1).be16(0x0800).u8(6).u8(4).be16(operation).bytes(hardware).be32(sender).zeros(6).be32(target);
  return frame.take();
}
ByteBuffer ask(unsigned from, std::uint32_t sender, std::uint32_t target) {
  return arp(1, MacAddress::broadcast(), from, sender, target);
}
// A neighbour solicitation from fe80::<from> (or ::) for fe80::<target>.
ByteBuffer solicit(unsigned from, unsigned target, bool probe = false) {
  ByteWriter frame = ethernet(MacAddress::from_bits(0x3333ff000000 + target), machine(from), 0x86dd);
  frame.be32(6U << 28).be16(24).u8(58).u8(255);
  frame.be16(probe ? 0 : 0xfe80).zeros(13).u8(probe ? 0 : static_cast<std::uint8_t>(from));
  frame.be16(0xff02).zeros(13).u8(static_cast<std::uint8_t>(target));
  frame.u8(135).u8(0).be16(0).be32(0).be16(0xfe80).zeros(13).u8(static_cast<std::uint8_t>(target));
  return frame.take();
}
// A report that `from` listens to the groups of these addresses, from fe80::<from> (RFC 3810 §5.2); records
// of the type given, 4 being "from every source from now on" and 3 "from none any more".
ByteBuffer listens(unsigned from, const std::vector<unsigned>& targets, std::uint8_t type = 4) {
  ByteWriter frame = ethernet(MacAddress::from_bits(0x333300000016), machine(from), 0x86dd);
  frame.be32(6U << 28).be16(static_cast<std::uint16_t>(16 + 20 * targets.size())).u8(0).u8(1);
  frame.be16(0xfe80).zeros(13).u8(static_cast<std::uint8_t>(from)).be16(0xff02).zeros(13).u8(0x16);
  frame.u8(58).u8(0).be16(0x0502).be32(0);  // hop by hop: the router alert and two octets of padding
  frame.u8(143).u8(0).be16(0).be16(0).be16(static_cast<std::uint16_t>(targets.size()));
  for (const unsigned target : targets) {
    frame.u8(type).u8(0).be16(0).be16(0xff02).zeros(9).u8(1).u8(0xff).zeros(2).u8(
        static_cast<std::uint8_t>(target));
  }
  return frame.take();
}
ByteBuffer lease_of(std::uint32_t address, std::uint8_t type = 5) {
  return broadcast(dhcp_frame({.type = type,
                               .from_server = true,
                               .your_address = address,
                               .options = {{51, std::string("\0\0\x0e\x10", 4)}}}));
}

// Port 0 is the server's (machine 1) and trusted; on port n is machine n + 1, and machine 7 on port 3.
struct Lab {
  explicit Lab(const SwitchRules& rules = {.dhcp_snooping = true, .arp_suppression = true})
      : network(loop, rules) {
    for (std::size_t i = 0; i < devices.size(); ++i) {
      at.push_back(&network.attach("p" + std::to_string(i), devices[i]));
    }
    network.set_trusted(*at[0], true);
  }
  Counts send(std::size_t port, const ByteBuffer& bytes) {
    for (Recorder& device : devices) device.frames.clear();
    at[port]->send(Frame::copy(bytes));
    Counts counts;
    for (const Recorder& device : devices) counts.push_back(device.frames.size());
    return counts;
  }

  EventLoop loop{std::make_unique<VirtualPacer>()};
  Switch network;
  std::vector<Recorder> devices{5};
  std::vector<SwitchPort*> at;
};

const ByteBuffer kDiscover = broadcast(dhcp_frame({.type = 1}));

BOOST_AUTO_TEST_CASE(a_clients_broadcast_goes_to_trusted_ports_only) {
  Lab lab;
  BOOST_TEST((lab.send(3, kDiscover) == Counts{1, 0, 0, 0, 0}));
  BOOST_TEST(lab.at[3]->counters().directed == 1U);
  BOOST_TEST(lab.at[3]->counters().flooded == 0U);
  lab.network.set_trusted(*lab.at[1], true);
  BOOST_TEST((lab.send(3, kDiscover) == Counts{1, 1, 0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(a_servers_answer_goes_to_its_client_only) {
  Lab lab;
  lab.send(3, kDiscover);
  BOOST_TEST((lab.send(0, lease_of(kClient, 2)) == Counts{0, 0, 0, 1, 0}));
  BOOST_TEST((lab.send(0, dhcp_frame({.type = 2, .from_server = true})) == Counts{0, 0, 0, 1, 0}));
}

BOOST_AUTO_TEST_CASE(an_answer_to_a_client_that_moved_follows_it) {
  Lab lab;
  lab.send(3, kDiscover);
  lab.send(4, kDiscover);
  BOOST_TEST((lab.send(0, lease_of(kClient)) == Counts{0, 0, 0, 0, 1}));
}

BOOST_AUTO_TEST_CASE(an_answer_to_a_client_that_is_not_known_is_flooded) {
  Lab lab;
  BOOST_TEST((lab.send(0, lease_of(kClient)) == Counts{0, 1, 1, 1, 1}));
}

BOOST_AUTO_TEST_CASE(a_rogue_server_is_dropped_and_counted) {
  Lab lab;
  lab.send(3, kDiscover);
  BOOST_TEST((lab.send(2, from_machine(lease_of(kClient), 3)) == Counts{0, 0, 0, 0, 0}));
  BOOST_TEST(
      (lab.send(2, from_machine(dhcp_frame({.type = 5, .from_server = true}), 3)) == Counts{0, 0, 0, 0, 0}));
  BOOST_TEST(lab.at[2]->counters().dropped(SwitchDrop::rogue_dhcp) == 2U);
  BOOST_TEST(!lab.network.addresses()->find(1, IpAddress::v4(kClient), {}).has_value());
}

BOOST_AUTO_TEST_CASE(a_lease_tells_where_questions_for_its_address_go) {
  Lab lab;
  lab.send(3, kDiscover);
  lab.send(0, lease_of(kClient));
  BOOST_TEST(lab.network.addresses()->counters().bound == 1U);
  BOOST_TEST((lab.send(2, ask(3, kThird, kClient)) == Counts{0, 0, 0, 1, 0}));
  // It is still the broadcast that was asked: its owner answers it itself.
  BOOST_TEST(lab.devices[3].frames[0].destination().is_broadcast());
}

BOOST_AUTO_TEST_CASE(only_an_acknowledgement_makes_a_binding) {
  Lab lab;
  lab.send(3, kDiscover);
  for (std::uint8_t type : {std::uint8_t{2}, std::uint8_t{6}}) lab.send(0, lease_of(kClient, type));
  lab.send(0, lease_of(0));  // the answer to an INFORM
  BOOST_TEST(lab.network.addresses()->counters().bound == 0U);
}

BOOST_AUTO_TEST_CASE(a_question_for_an_address_that_was_heard_goes_to_its_owner) {
  Lab lab;
  BOOST_TEST((lab.send(2, ask(3, kThird, kServer)) == Counts{1, 1, 0, 1, 1}));  // not heard yet
  BOOST_TEST((lab.send(0, arp(2, machine(3), 1, kServer, kThird)) == Counts{0, 0, 1, 0, 0}));
  BOOST_TEST((lab.send(4, ask(5, 0x0a000005, kServer)) == Counts{1, 0, 0, 0, 0}));
  BOOST_TEST((lab.send(0, ask(1, kServer, kThird)) == Counts{0, 0, 1, 0, 0}));
}

BOOST_AUTO_TEST_CASE(announcements_and_probes_are_flooded) {
  Lab lab;
  BOOST_TEST((lab.send(2, ask(3, kThird, kThird)) == Counts{1, 1, 0, 1, 1}));
  BOOST_TEST((lab.send(4, ask(5, 0, kThird)) == Counts{1, 1, 1, 1, 0}));
}

BOOST_AUTO_TEST_CASE(a_question_goes_to_all_again_when_its_owner_is_gone) {
  Lab lab;
  lab.send(2, ask(3, kThird, kThird));
  BOOST_TEST((lab.send(4, ask(5, 0x0a000005, kThird)) == Counts{0, 0, 1, 0, 0}));
  lab.network.set_link(*lab.at[2], false);
  BOOST_TEST((lab.send(4, ask(5, 0x0a000005, kThird)) == Counts{1, 1, 0, 1, 0}));
}

BOOST_AUTO_TEST_CASE(a_question_goes_to_all_again_when_its_owner_says_nothing) {
  Lab lab;
  lab.send(2, ask(3, kThird, kThird));
  lab.send(4, ask(5, 0x0a000005, kThird));
  lab.loop.after(std::chrono::seconds(1), [&] {
    BOOST_TEST((lab.send(4, ask(5, 0x0a000005, kThird)) == Counts{1, 1, 1, 1, 0}));
  });
  lab.loop.run();
}

BOOST_AUTO_TEST_CASE(a_question_follows_an_owner_that_moved) {
  Lab lab;
  lab.send(2, ask(3, kThird, kThird));
  lab.send(1, from_machine(arp(2, machine(1), 3, 0, 0), 3));
  BOOST_TEST((lab.send(4, ask(5, 0x0a000005, kThird)) == Counts{0, 1, 0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(neighbour_solicitations_go_to_whom_they_seek_and_probes_to_all) {
  Lab lab;
  BOOST_TEST((lab.send(2, solicit(3, 5, true)) == Counts{1, 1, 0, 1, 1}));
  BOOST_TEST((lab.send(4, solicit(5, 3)) == Counts{1, 1, 1, 1, 0}));  // fe80::5 is heard
  BOOST_TEST((lab.send(2, solicit(3, 5)) == Counts{0, 0, 0, 0, 1}));
}

BOOST_AUTO_TEST_CASE(router_solicitations_go_to_trusted_ports_only) {
  Lab lab;
  const auto frame = ip6_frame(58, ByteWriter().u8(133).u8(0).be16(0).be32(0).take());
  BOOST_TEST((lab.send(3, frame) == Counts{1, 0, 0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(who_listens_is_told_to_trusted_ports_only) {
  Lab lab({.mld_snooping = true});
  BOOST_TEST((lab.send(3, listens(4, {4})) == Counts{1, 0, 0, 0, 0}));
  BOOST_TEST(lab.at[3]->counters().directed == 1U);
  Lab plain(SwitchRules{});
  BOOST_TEST((plain.send(3, listens(4, {4})) == Counts{1, 1, 1, 0, 1}));
}

BOOST_AUTO_TEST_CASE(a_probe_goes_to_trusted_ports_and_to_those_who_listen_to_its_group) {
  Lab lab({.dhcp_snooping = true, .arp_suppression = true, .mld_snooping = true});
  lab.send(3, listens(4, {1, 9}));
  BOOST_TEST((lab.send(2, solicit(3, 9, true)) == Counts{1, 0, 0, 1, 0}));
  BOOST_TEST((lab.send(2, solicit(3, 3, true)) == Counts{1, 0, 0, 0, 0}));
  // Who leaves is still told: others behind the same port may listen on.
  lab.send(3, listens(4, {9}, 3));
  BOOST_TEST((lab.send(2, solicit(3, 9, true)) == Counts{1, 0, 0, 1, 0}));
}

BOOST_AUTO_TEST_CASE(leaving_a_group_is_not_joining_it) {
  Lab lab({.mld_snooping = true});
  lab.send(3, listens(4, {9}, 3));
  BOOST_TEST((lab.send(2, solicit(3, 9, true)) == Counts{1, 0, 0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(a_port_with_too_many_groups_gets_the_frames_of_all) {
  Lab lab({.mld_snooping = true});
  ByteBuffer report = listens(4, {0});
  for (std::size_t i = 0; i < Switch::kGroupsPerPort; ++i) {
    BOOST_TEST_REQUIRE(!lab.at[3]->hears(1, MacAddress::from_bits(0x3333ffffffff)));
    report[report.size() - 3] = 1;
    report[report.size() - 2] = static_cast<std::uint8_t>(i >> 8);
    report[report.size() - 1] = static_cast<std::uint8_t>(i);
    lab.send(3, report);
  }
  BOOST_TEST(lab.at[3]->hears(1, MacAddress::from_bits(0x3333ffffffff)));
  BOOST_TEST((lab.send(2, solicit(3, 9, true)) == Counts{1, 0, 0, 1, 0}));
}

BOOST_AUTO_TEST_CASE(what_a_report_and_a_router_solicitation_come_from_is_heard) {
  Lab lab({.arp_suppression = true, .mld_snooping = true});
  lab.send(3, listens(4, {4}));
  BOOST_TEST((lab.send(0, solicit(1, 4)) == Counts{0, 0, 0, 1, 0}));
}

BOOST_AUTO_TEST_CASE(keeps_vlans_apart) {
  Lab lab;
  lab.network.set_vlans(*lab.at[4], VlanMembership::access(2));
  lab.send(2, ask(3, kThird, kThird));
  BOOST_TEST((lab.send(4, ask(5, 0x0a000005, kThird)) == Counts{0, 0, 0, 0, 0}));
  BOOST_TEST((lab.send(4, from_machine(kDiscover, 5)) == Counts{0, 0, 0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(each_can_be_turned_off) {
  Lab neither(SwitchRules{});
  BOOST_TEST(neither.network.addresses() == nullptr);
  BOOST_TEST((neither.send(3, kDiscover) == Counts{1, 1, 1, 0, 1}));
  BOOST_TEST((neither.send(2, from_machine(lease_of(kClient), 3)) == Counts{1, 1, 0, 1, 1}));
  Lab snooping({.dhcp_snooping = true});
  snooping.send(2, ask(3, kThird, kThird));
  BOOST_TEST((snooping.send(4, ask(5, 0x0a000005, kThird)) == Counts{1, 1, 1, 1, 0}));
  BOOST_TEST((snooping.send(3, kDiscover) == Counts{1, 0, 0, 0, 0}));
  Lab suppression({.arp_suppression = true});
  suppression.send(2, ask(3, kThird, kThird));
  BOOST_TEST((suppression.send(4, ask(5, 0x0a000005, kThird)) == Counts{0, 0, 1, 0, 0}));
  BOOST_TEST((suppression.send(3, kDiscover) == Counts{1, 1, 1, 0, 1}));
}

BOOST_AUTO_TEST_CASE(reads_no_frame_beyond_its_end) {
  for (const ByteBuffer& whole :
       {kDiscover, lease_of(kClient), ask(3, kThird, kServer), solicit(3, 5), listens(3, {5, 6, 7})}) {
    for (std::size_t size = kSmallestFrame; size < whole.size(); ++size) {
      const Frame cut = Frame::copy(ByteView(whole).first(size));
      (void)snoop(cut);
      (void)reported_groups(cut);
    }
  }
  auto fragment = lease_of(kClient);
  fragment[21] = 1;  // not the first fragment: it has no ports
  BOOST_TEST((snoop(Frame::copy(fragment)).kind == Snooped::nothing));
  auto other_arp = ask(3, kThird, kServer);
  other_arp[14] = 9;
  BOOST_TEST((snoop(Frame::copy(other_arp)).kind == Snooped::nothing));
}

BOOST_AUTO_TEST_CASE(reads_tagged_frames_as_well) {
  const Frame frame = Frame::copy(lease_of(kClient)).tagged(VlanTag{5});
  const SnoopedFrame seen = snoop(frame);
  BOOST_TEST((seen.kind == Snooped::dhcp_to_client));
  BOOST_TEST(seen.client == machine(7));
  BOOST_TEST((seen.owned == IpAddress::v4(kClient)));
  BOOST_TEST((seen.lease == std::chrono::hours(1)));
}

}  // namespace
}  // namespace rookery::netsim
