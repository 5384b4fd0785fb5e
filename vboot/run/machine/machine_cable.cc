#include "vboot/run/machine/machine_cable.h"

#include <algorithm>
#include <utility>

#include "netsim/ports/announced.h"
#include "netsim/ports/datagram.h"
#include "netsim/ports/stream.h"
#include "netsim/ports/vhost_net.h"
#include "vboot/run/network/lab_network.h"

namespace rookery::vboot {
namespace {

// Names of a machine's sockets within its folder. All machines have the same, so that nothing about one
// machine is in its kernel's command line.
constexpr const char* kDataNic = "net0";
constexpr const char* kManagementNic = "net1";

// The network's end of a NIC.
Result<std::unique_ptr<netsim::MachinePort>> listen_for_nic(EventLoop& loop, backends::NicWire wire,
                                                            const std::filesystem::path& socket,
                                                            const MacBytes& mac,
                                                            const netsim::VhostNetRules& rules, Lane* lane) {
  if (wire == backends::NicWire::interface) return netsim::AnnouncedPort::listen(loop, socket);
  if (wire == backends::NicWire::datagram) return netsim::DatagramPort::bind(loop, socket);
  if (wire == backends::NicWire::stream) return netsim::StreamPort::listen(loop, socket);
  return netsim::VhostNetPort::listen(loop, socket, *netsim::MacAddress::from_bytes(mac), rules, lane);
}

// Its number in the network (netsim::Frame::origin), where 0 is nobody's.
std::uint16_t station_of(const MachinePlan& plan) {
  return static_cast<std::uint16_t>(plan.index + 1);
}

}  // namespace

MachineCable::MachineCable(EventLoop& loop, const MachinePlan& plan, CableSetup setup, netsim::Switch& to,
                           CableEvents& events)
    : loop_(loop),
      plan_(plan),
      setup_(std::move(setup)),
      switch_(to),
      events_(events),
      tap_out_(2 * plan.index, netsim::Direction::outbound),
      tap_in_(2 * plan.index, netsim::Direction::inbound),
      capture_out_(loop, netsim::Direction::outbound),
      capture_in_(loop, netsim::Direction::inbound),
      faults_out_(loop, netsim::FaultPoint::Side::sends, station_of(plan)),
      faults_in_(loop, netsim::FaultPoint::Side::hears, station_of(plan)),
      management_out_(2 * plan.index + 1, netsim::Direction::outbound),
      management_in_(2 * plan.index + 1, netsim::Direction::inbound) {}

MachineCable::~MachineCable() {
  if (switch_port_ != nullptr) switch_.detach(*switch_port_);
}

Result<std::vector<backends::NicPlug>> MachineCable::plugs(backends::NicWire wire,
                                                           backends::NicWire management_wire) {
  std::vector<backends::NicPlug> plugs;
  ROOKERY_TRY(plug(wire));
  plugs.push_back({.mac = plan_.data_mac, .socket = kDataNic, .wire = wire});
  if (!plan_.management_mac) return plugs;
  ROOKERY_TRY(plug_management(management_wire));
  plugs.push_back(
      {.mac = *plan_.management_mac, .socket = kManagementNic, .management = true, .wire = management_wire});
  return plugs;
}

// guest → tap → capture → faults → uplink → switch → faults → downlink → tap → capture → guest
Status MachineCable::plug(backends::NicWire wire) {
  auto nic =
      listen_for_nic(loop_, wire, setup_.folder / kDataNic, plan_.data_mac, {.offload = true}, setup_.lane);
  if (!nic) return tl::unexpected<Error>(nic.error());
  nic_ = std::move(*nic);
  netsim::LinkRules upwards = cable_rules(plan_.link);
  // In lockstep the NIC has taken a part of it (base/loop/lane.h).
  upwards.delay -= std::min(upwards.delay, loop_.lookahead());
  uplink_ = std::make_unique<netsim::Link>(loop_, upwards);
  downlink_ = std::make_unique<netsim::Link>(loop_, cable_rules(plan_.link), tap_in_);
  tap_in_.connect(capture_in_);
  capture_in_.connect(*nic_);
  nic_->connect(tap_out_);
  tap_out_.connect(capture_out_);
  capture_out_.connect(faults_out_);
  faults_out_.connect(*uplink_);
  faults_in_.connect(*downlink_);
  switch_port_ = &switch_.attach(plan_.name, faults_in_);
  switch_.set_vlans(*switch_port_, setup_.vlans);
  switch_.set_trusted(*switch_port_, serves_boot(plan_.roles));
  uplink_->connect(*switch_port_);
  tap_out_.watch(*this);
  tap_in_.watch(*this);
  return {};
}

Status MachineCable::plug_management(backends::NicWire wire) {
  auto nic =
      listen_for_nic(loop_, wire, setup_.folder / kManagementNic, *plan_.management_mac, {}, setup_.lane);
  if (!nic) return tl::unexpected<Error>(nic.error());
  management_nic_ = std::move(*nic);
  // Nothing but the agent's ethertype gets through; we send nothing else.
  management_port_ = std::make_unique<netsim::InProcessPort>(
      [this](const netsim::Frame& frame) { events_.agent_frame(frame.bytes()); });
  management_filter_.connect(*management_port_);
  management_nic_->connect(management_out_);
  management_out_.connect(management_filter_);
  management_port_->connect(management_in_);
  management_in_.connect(*management_nic_);
  management_out_.watch(*this);
  management_in_.watch(*this);
  return {};
}

void MachineCable::send_to_agent(ByteView frame) {
  if (netsim::Frame copy = netsim::Frame::copy(frame)) management_port_->transmit(std::move(copy));
}

void MachineCable::seen(std::uint32_t tag, netsim::Direction direction, const netsim::Frame& frame) {
  if (setup_.watcher != nullptr) setup_.watcher->seen(tag, direction, frame);
  if (tag % 2 == 0) events_.frame_passes(direction, frame);
}

// It comes by the tap before it is written.
std::uint64_t MachineCable::number_in_capture() const {
  return capture_ && !capture_->is_full() ? capture_->frames() + 1 : 0;
}

Status MachineCable::capture(const std::shared_ptr<netsim::CaptureFile>& file) {
  capture_out_.stop();
  capture_in_.stop();
  capture_ = file;
  if (!file) return {};
  const auto interface = file->add_interface(plan_.name);
  if (!interface) return tl::unexpected<Error>(interface.error());
  capture_out_.start(file, *interface);
  capture_in_.start(file, *interface);
  return {};
}

Cable MachineCable::for_faults() {
  Cable cable;
  cable.name = plan_.name;
  cable.ends = {plan_.switch_index};
  cable.up = &faults_out_;
  cable.down = &faults_in_;
  cable.up_link = uplink_.get();
  cable.down_link = downlink_.get();
  cable.plug = [this](bool up) { switch_.set_link(*switch_port_, up); };
  cable.to = &switch_;
  cable.port = switch_port_;
  return cable;
}

}  // namespace rookery::vboot
