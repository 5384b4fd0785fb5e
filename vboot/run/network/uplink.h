// Where the lab's switch is joined to a real network: its port, what guards it, and the physical machines
// behind it. Owned by the RunningLab; the switch outlives it, it outlives nothing that it was given.
#pragma once

#include <functional>
#include <memory>
#include <set>

#include "netsim/capture.h"
#include "netsim/faults/fault_point.h"
#include "netsim/link.h"
#include "netsim/switch.h"
#include "netsim/tap.h"
#include "vboot/faults/cable.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/watch/wire_machines.h"

namespace rookery::vboot {

// The wire's end on this host: a NIC (netsim/ports/packet.h), or what a test has.
struct UplinkWire {
  std::unique_ptr<netsim::WrappingPort> port;
  std::function<Status()> link;  // whether it carries frames now; if not, why
};

class Uplink final : private netsim::FrameWatcher {
 public:
  using OnStage = std::function<void(const WireMachine&)>;

  Uplink(EventLoop& loop, const LabPlan& lab, UplinkWire wire, netsim::Switch& to, OnStage on_stage);
  ~Uplink() override;

  const UplinkPlan& plan() const { return plan_; }
  const WireMachines& machines() const { return machines_; }
  Status link() const { return wire_.link(); }
  // Another DHCP server on a network that is ours to serve: the MAC address of the last that spoke, or empty.
  const std::string& other_server() const { return other_server_; }
  // Frames that came in under an address of the lab's own machines, and were dropped.
  std::uint64_t impostors() const { return guard_.dropped; }
  const netsim::SwitchPort& port() const { return *switch_port_; }
  // For faults, like a trunk that leads up to the wire: "uplink:eth1".
  Cable cable();
  // Captures the wire from now on; null ends it.
  Status capture(const std::shared_ptr<netsim::CaptureFile>& file);

 private:
  // A frame from outside under the address of a machine of the lab would have the switch look for that
  // machine there: a loop, or another lab on the same wire.
  class Guard final : public netsim::WrappingPort {
   public:
    void send(netsim::Frame frame) override {
      if (own.contains(frame.source().bits())) {
        ++dropped;
      } else {
        next().send(std::move(frame));
      }
    }
    std::set<std::uint64_t> own;
    std::uint64_t dropped = 0;
  };

  void seen(std::uint32_t tag, netsim::Direction direction, const netsim::Frame& frame) override;

  EventLoop& loop_;
  UplinkPlan plan_;
  UplinkWire wire_;
  netsim::Switch& switch_;
  OnStage on_stage_;
  WireMachines machines_;
  std::string other_server_;
  Guard guard_;
  netsim::WatchTap tap_out_, tap_in_;  // to the wire, from the wire
  netsim::CaptureTap capture_out_, capture_in_;
  std::shared_ptr<netsim::CaptureFile> capture_;
  netsim::FaultPoint faults_out_, faults_in_;
  netsim::Link link_out_, link_in_;  // without rules of their own: the wire has its own
  netsim::SwitchPort* switch_port_ = nullptr;
};

}  // namespace rookery::vboot
