// The network side of one machine: its NIC's end, and the taps, captures, faults and links between that and
// the switch; beside it the management NIC, whose cable leads straight to us. Owned by the machine's Node; it
// outlives the machine, which is plugged into it, and leaves its switch when it goes.
#pragma once

#include <filesystem>
#include <memory>

#include "base/loop/event_loop.h"
#include "base/loop/lane.h"
#include "guest/protocol/agent_protocol.h"
#include "netsim/capture.h"
#include "netsim/ethertype_filter.h"
#include "netsim/link.h"
#include "netsim/ports/in_process_port.h"
#include "netsim/switch.h"
#include "netsim/tap.h"
#include "vboot/faults/cable.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/run/machine/cable_end.h"

namespace rookery::vboot {

struct CableSetup {
  std::filesystem::path folder;  // where the NICs' sockets lie; it is there
  netsim::VlanMembership vlans;  // of its port
  netsim::FrameWatcher* watcher =
      nullptr;           // sees every frame: tag 2i on the cable, 2i+1 on the management NIC
  Lane* lane = nullptr;  // in lockstep; outlives the cable
};

// Told of the frames that come by, from the loop.
class CableEvents {
 public:
  virtual ~CableEvents() = default;
  // On the cable, in either direction; the frame has not been captured yet.
  virtual void frame_passes(netsim::Direction direction, const netsim::Frame& frame) = 0;
  // The machine has sent a frame of the agent's ethertype out of its management NIC.
  virtual void agent_frame(ByteView frame) = 0;
};

class MachineCable final : public CableEnd, private netsim::FrameWatcher {
 public:
  // `plan`, `to` and `events` outlive it.
  MachineCable(EventLoop& loop, const MachinePlan& plan, CableSetup setup, netsim::Switch& to,
               CableEvents& events);
  ~MachineCable() override;

  // Until then there are neither NICs nor links nor a port of the switch.
  Result<std::vector<backends::NicPlug>> plugs(backends::NicWire wire,
                                               backends::NicWire management_wire) override;

  // To the machine's management NIC.
  void send_to_agent(ByteView frame);
  // Captures from now on; null ends it.
  Status capture(const std::shared_ptr<netsim::CaptureFile>& file);
  const netsim::CaptureFile* capture_file() const { return capture_.get(); }
  // The number in that file of the frame that comes by now, or 0.
  std::uint64_t number_in_capture() const;
  // The machine is switched on: port_at_power_on() is what its port's counters are now.
  void powered_on() { port_at_power_on_ = switch_port_->counters(); }
  const netsim::SwitchPort& port() const { return *switch_port_; }
  const netsim::SwitchPortCounters& port_at_power_on() const { return port_at_power_on_; }
  // What of it faults can harm.
  Cable for_faults();

  const netsim::MachinePort& nic() const { return *nic_; }
  const netsim::MachinePort* management_nic() const { return management_nic_.get(); }  // null without one
  const netsim::LinkCounters& sent() const { return uplink_->counters(); }
  const netsim::LinkCounters& received() const { return downlink_->counters(); }

 private:
  Status plug(backends::NicWire wire);
  Status plug_management(backends::NicWire wire);
  void seen(std::uint32_t tag, netsim::Direction direction, const netsim::Frame& frame) override;

  EventLoop& loop_;
  const MachinePlan& plan_;
  CableSetup setup_;
  netsim::Switch& switch_;
  CableEvents& events_;

  // From the machine to the switch and back.
  netsim::SwitchPort* switch_port_ = nullptr;
  netsim::SwitchPortCounters port_at_power_on_;
  std::unique_ptr<netsim::MachinePort> nic_;
  netsim::WatchTap tap_out_, tap_in_;
  netsim::CaptureTap capture_out_, capture_in_;
  std::shared_ptr<netsim::CaptureFile> capture_;  // that runs on it, if there is one
  netsim::FaultPoint faults_out_, faults_in_;
  std::unique_ptr<netsim::Link> uplink_, downlink_;

  // The management NIC's.
  std::unique_ptr<netsim::MachinePort> management_nic_;
  netsim::WatchTap management_out_, management_in_;
  netsim::EthertypeFilter management_filter_{agent::kEtherType};
  std::unique_ptr<netsim::InProcessPort> management_port_;
};

}  // namespace rookery::vboot
