#include "vboot/watch/wire_machines.h"

#include "netsim/snooping.h"

namespace rookery::vboot {
namespace {

using netsim::DhcpSeen;
using netsim::DhcpType;

bool is_ipxe(const DhcpSeen& seen) {
  return seen.user_class.find("iPXE") != std::string::npos;
}

// Firmware that boots from the network says so (RFC 4578 §2, UEFI 2.10 §24.7.2.3.2); who only wants an
// address does not.
bool asks_for_boot(const DhcpSeen& seen) {
  return !seen.from_server &&
         (seen.architecture || is_ipxe(seen) || seen.vendor_class.starts_with("PXEClient") ||
          seen.vendor_class.starts_with("HTTPClient"));
}

// An IPv4 packet's source; none of any other frame.
netsim::IpAddress sender_of(const netsim::Frame& frame) {
  const std::size_t packet = frame.is_tagged() ? netsim::kSmallestFrame + 4 : netsim::kSmallestFrame;
  if (frame.ethertype() != 0x0800 || frame.size() < packet + 20) return {};
  return netsim::IpAddress::from_bytes(frame.bytes().subspan(packet + 12, 4));
}

std::string_view last_part(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);
}

}  // namespace

WireMachine* WireMachines::known(netsim::MacAddress mac) const {
  const auto found = by_mac_.find(mac);
  return found == by_mac_.end() ? nullptr : found->second;
}

const WireMachine* WireMachines::find(std::string_view mac) const {
  const auto parsed = netsim::MacAddress::parse(mac);
  return parsed ? known(*parsed) : nullptr;
}

// Who asks, if it is to boot. The system that was booted asks too, in the same words (stage two); so a boot
// that got as far as the kernel is over only when firmware speaks that is not iPXE.
WireMachine* WireMachines::asks_to_boot(const netsim::Frame& frame, Time now) {
  const netsim::Summary summary = dissector_.look(frame.bytes());
  const auto* seen = summary.as<DhcpSeen>();
  if (seen == nullptr || !asks_for_boot(*seen)) return nullptr;
  WireMachine* machine = known(seen->client);
  if (machine == nullptr) {
    if (machines_.size() == kMachines) {
      ++left_out_;
      return nullptr;
    }
    machine = machines_.emplace_back(std::make_unique<WireMachine>(seen->client)).get();
    by_mac_.emplace(seen->client, machine);
  }
  const Stage stage = machine->boot.stage;
  const bool anew =
      stage == Stage::off || (seen->type == DhcpType::discover &&
                              (stage == Stage::root || (stage == Stage::kernel && !is_ipxe(*seen))));
  if (anew) {
    ++machine->boots;
    machine->boot.power_on(now);
  }
  return machine;
}

const WireMachine* WireMachines::see(bool from_wire, const netsim::Frame& frame, Time now,
                                     std::uint64_t frame_number) {
  if (!worth_a_look(frame.bytes())) {  // counted, as its boot watch would
    if (WireMachine* machine = known(from_wire ? frame.source() : frame.destination()))
      machine->watch.see(machine->boot, from_wire ? netsim::Direction::outbound : netsim::Direction::inbound,
                         frame, now, frame_number);
    return nullptr;
  }
  // What any DHCP server says to a machine, ours or one on its own network, is for that machine.
  const netsim::SnoopedFrame snooped = netsim::snoop(frame);
  const bool to_machine = !from_wire || snooped.kind == netsim::Snooped::dhcp_to_client;
  WireMachine* machine = snooped.kind == netsim::Snooped::dhcp_to_client ? known(snooped.client)
                         : to_machine                                    ? known(frame.destination())
                                                                         : known(frame.source());
  Stage before = machine != nullptr ? machine->boot.stage : Stage::off;
  if (from_wire && snooped.kind == netsim::Snooped::dhcp_to_server) {
    if (WireMachine* asking = asks_to_boot(frame, now)) {
      if (asking != machine || asking->boot.chain.size() == 1) before = Stage::off;
      machine = asking;
    }
  }
  if (machine == nullptr) return nullptr;
  BootRecord& boot = machine->boot;
  const std::uint32_t asked = boot.wire.count(WireStep::http_request) + boot.wire.count(WireStep::tftp_read);
  machine->watch.see(boot, to_machine ? netsim::Direction::inbound : netsim::Direction::outbound, frame, now,
                     frame_number);
  // The script once more, after a kernel: it has restarted, and its firmware was iPXE from the first word.
  const bool asked_now =
      boot.wire.count(WireStep::http_request) + boot.wire.count(WireStep::tftp_read) > asked;
  if (asked_now && boot.stage == Stage::kernel && !boot.wire.boot_file.empty() &&
      last_part(boot.wire.file) == last_part(boot.wire.boot_file)) {
    WireEvidence evidence = std::move(boot.wire);
    ++machine->boots;
    boot.power_on(now);
    boot.enter(Stage::dhcp, "", now);
    boot.enter(Stage::script, evidence.file, now);
    boot.wire = std::move(evidence);
    before = Stage::off;
  }
  if (!boot.wire.address.is_zero()) machine->address = boot.wire.address;
  if (machine->address.is_zero() && from_wire && !to_machine) machine->address = sender_of(frame);
  return boot.stage == before ? nullptr : machine;
}

}  // namespace rookery::vboot
