// One machine of a running lab with all that belongs to it: its cable to the switch, the seat where it
// stands, the session with its agent, the progress of its boot, its console. Owned by the RunningLab, to
// which it reports, for as long as the lab runs.
//
// The parts do not know each other, but that the agent's word moves the boot on: what happens in one of them
// comes here, and what follows from it for the others is done here.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vboot/run/machine/agent_session.h"
#include "vboot/run/machine/boot_files.h"
#include "vboot/run/machine/boot_progress.h"
#include "vboot/run/machine/console_log.h"
#include "vboot/run/machine/machine_cable.h"
#include "vboot/run/machine/power_state.h"
#include "vboot/run/machine/refusals.h"
#include "vboot/run/machine/seat.h"

namespace rookery::vboot {

class Node;

class NodeEvents {
 public:
  virtual ~NodeEvents() = default;
  virtual void stage_changed(Node& node) = 0;
  // Somebody has cut its power; perhaps it was off already.
  virtual void power_cut(Node&) {}
  virtual void console_output(Node& node, std::string_view bytes) = 0;
  // Why a machine that restarts itself was not ready yet, as far as anybody can tell; or empty.
  virtual std::string what_is_missing(const Node& node) = 0;
};

struct NodeSetup {
  std::filesystem::path folder;         // made for this machine alone
  std::filesystem::path memory_folder;  // on tmpfs
  BootFiles boot;
  disks::BlockStore* medium = nullptr;  // its disk, if it starts from a medium
  std::filesystem::path medium_file;    // what that is made of, for backends that read it themselves
  std::string command_line;
  RoleBundle role;
  std::shared_ptr<const Gift> gift;  // null: the lab gives nothing to anybody
  netsim::VlanMembership vlans;      // of its port
  std::uint64_t seed = 0;
  Duration clock{0};  // in virtual time: what its clock shows at the run's time zero, since 1970
  netsim::FrameWatcher* watcher =
      nullptr;  // sees every frame: tag 2i on the cable, 2i+1 on the management NIC
};

class Node final : private CableEvents, private SeatEvents, private AgentEvents, private BootEvents {
 public:
  static Result<std::unique_ptr<Node>> make(EventLoop& loop, const MachinePlan& plan, NodeSetup setup,
                                            backends::Backend& backend, netsim::Switch& to,
                                            NodeEvents& events);
  ~Node() override;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const MachinePlan& plan() const { return plan_; }

  // How far it is.
  const BootRecord& boot() const { return boot_.record(); }
  // Of a failure, by who sees more than its own cable.
  void explained(const Why& why) { boot_.explained(why); }
  // What was refused or lost of it since the lab came up, and what was given up for a fault of its.
  std::vector<Refusal> refusals() const;
  std::vector<std::string> given_up() const;

  // Its power.
  Status power_on();                             // of a machine that was cut a moment ago: when it is off
  void could_not_start(const std::string& why);  // power_on() failed, and nobody else will hear of it
  Status power(backends::PowerAction action);
  bool is_on() const { return power_.is_on(seat_->state()); }
  // As of Seat; it goes on in the boot and in the conversation in which it was.
  Status take_snapshot(const std::string& name, backends::Snapshots::Done done);
  Status restore(const std::string& name, backends::Snapshots::Done done);

  // Its seat.
  backends::Machine& machine() { return seat_->machine(); }
  backends::MachineState state() const { return seat_->state(); }
  std::vector<pid_t> processes() const { return seat_->processes(); }
  bool has_firmware() const { return seat_->has_firmware(); }
  const std::string& slowness() const { return seat_->slowness(); }

  // Its console.
  ConsoleLog& console() { return console_; }
  // The last lines of this boot.
  std::vector<std::string> console_lines(std::size_t count) const {
    return console_.last_lines(count, console_at_power_on_);
  }
  void console_input(std::string_view bytes);

  // Its agent.
  StreamHost& streams() { return agent_; }
  Result<std::uint32_t> exec(const std::vector<std::string>& argv, ExecEvents events) {
    return agent_.exec(argv, std::move(events));
  }
  void cancel_exec(std::uint32_t request) { agent_.cancel_exec(request); }
  Duration silence() { return agent_.silence(); }
  Status step_clock(Duration by) { return agent_.step_clock(by); }
  const Gift* gift() const { return agent_.gift(); }

  // Its cable.
  Cable cable() { return cable_.for_faults(); }
  Status capture(const std::shared_ptr<netsim::CaptureFile>& file) { return cable_.capture(file); }
  bool is_captured() const { return cable_.capture_file() != nullptr; }
  const netsim::CaptureFile* capture_file() const { return cable_.capture_file(); }
  const netsim::LinkCounters& sent() const { return cable_.sent(); }
  const netsim::SwitchPort& port() const { return cable_.port(); }
  const netsim::SwitchPortCounters& port_at_power_on() const { return cable_.port_at_power_on(); }

 private:
  // What is known of a machine here beside what its backend keeps in a snapshot, as of the same moment.
  struct Moment {
    BootRecord boot;
    AgentSession::Moment agent;
  };

  Node(EventLoop& loop, const MachinePlan& plan, NodeSetup& setup, netsim::Switch& to, NodeEvents& events);

  // What the parts tell.
  void frame_passes(netsim::Direction direction, const netsim::Frame& frame) override;
  void agent_frame(ByteView frame) override { agent_.receive(frame); }
  void machine_changed(backends::MachineState state, const std::string& reason) override;
  void machine_wrote(std::string_view bytes) override;
  bool is_heard() const override { return !power_.is_leaving(); }
  void boots_again() override;
  void stage_changed() override { events_.stage_changed(*this); }
  std::string what_is_missing() const override { return events_.what_is_missing(*this); }

  Status start();
  void begin_boot();
  void restored();
  void went_off(backends::MachineState state, const std::string& reason);
  PowerState::Boot boot_at_its_end(const std::string& reason) const;

  EventLoop& loop_;
  std::unique_ptr<Lane> lane_;  // in lockstep
  MachinePlan plan_;
  NodeEvents& events_;
  ConsoleLog console_;
  std::uint64_t console_at_power_on_ = 0;
  MachineCable cable_;
  BootProgress boot_;
  AgentSession agent_;
  PowerState power_;
  EventId start_again_;
  std::map<std::string, Moment> snapshots_;
  std::string restoring_;       // the snapshot that it goes back to
  std::unique_ptr<Seat> seat_;  // goes first: what its machine is plugged into stays
};

}  // namespace rookery::vboot
