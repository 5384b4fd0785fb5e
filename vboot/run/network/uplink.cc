#include "vboot/run/network/uplink.h"

#include <fmt/format.h>

#include "netsim/snooping.h"
#include "vboot/run/network/lab_network.h"

namespace rookery::vboot {

// wire → guard → tap → capture → faults → link → switch → faults → link → tap → capture → wire
Uplink::Uplink(EventLoop& loop, const LabPlan& lab, UplinkWire wire, netsim::Switch& to, OnStage on_stage)
    : loop_(loop),
      plan_(*lab.uplink),
      wire_(std::move(wire)),
      switch_(to),
      on_stage_(std::move(on_stage)),
      tap_out_(0, netsim::Direction::outbound),
      tap_in_(0, netsim::Direction::inbound),
      capture_out_(loop, netsim::Direction::outbound),
      capture_in_(loop, netsim::Direction::inbound),
      faults_out_(loop, netsim::FaultPoint::Side::trunk, 0),
      faults_in_(loop, netsim::FaultPoint::Side::trunk, 0),
      link_out_(loop, {}),
      link_in_(loop, {}) {
  for (const MachinePlan& machine : lab.machines)
    guard_.own.insert(netsim::MacAddress::from_bytes(machine.data_mac)->bits());
  if (plan_.proxy) guard_.own.insert(netsim::MacAddress::from_bytes(plan_.proxy->mac)->bits());
  faults_out_.connect(link_out_);
  link_out_.connect(tap_out_);
  tap_out_.connect(capture_out_);
  capture_out_.connect(*wire_.port);
  switch_port_ = &switch_.attach("uplink " + plan_.interface, faults_out_);
  switch_.set_vlans(*switch_port_, LabNetwork::vlans_of(lab, plan_));
  // Its own network's DHCP server speaks to the boot server, and to nobody else: they are alone in their
  // VLAN.
  switch_.set_trusted(*switch_port_, plan_.proxy.has_value());
  wire_.port->connect(guard_);
  guard_.connect(tap_in_);
  tap_in_.connect(capture_in_);
  capture_in_.connect(faults_in_);
  faults_in_.connect(link_in_);
  link_in_.connect(*switch_port_);
  tap_out_.watch(*this);
  tap_in_.watch(*this);
}

Uplink::~Uplink() {
  wire_.port->disconnect();
  switch_.detach(*switch_port_);
}

void Uplink::seen(std::uint32_t, netsim::Direction direction, const netsim::Frame& frame) {
  const bool from_wire = direction == netsim::Direction::inbound;
  if (from_wire && !plan_.proxy && netsim::snoop(frame).kind == netsim::Snooped::dhcp_to_client)
    other_server_ = frame.source().text();
  // The frame comes by here before it is written.
  const std::uint64_t number = capture_ && !capture_->is_full() ? capture_->frames() + 1 : 0;
  if (const WireMachine* changed = machines_.see(from_wire, frame, loop_.now(), number)) on_stage_(*changed);
}

Cable Uplink::cable() {
  Cable cable;
  cable.name = "uplink:" + plan_.interface;
  cable.ends = {plan_.switch_index};
  cable.up = &faults_out_;
  cable.down = &faults_in_;
  cable.up_link = &link_out_;
  cable.down_link = &link_in_;
  cable.plug = [this](bool plugged) { switch_.set_link(*switch_port_, plugged); };
  return cable;
}

Status Uplink::capture(const std::shared_ptr<netsim::CaptureFile>& file) {
  capture_out_.stop();
  capture_in_.stop();
  capture_ = file;
  if (!file) return {};
  const auto interface = file->add_interface("uplink " + plan_.interface);
  if (!interface) return tl::unexpected<Error>(interface.error());
  capture_out_.start(file, *interface);
  capture_in_.start(file, *interface);
  return {};
}

}  // namespace rookery::vboot
