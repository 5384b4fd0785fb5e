// One machine of a running lab with all that belongs to it: its cable to the switch, its management channel,
// its console, its boot record, and the backend's machine. Owned by the RunningLab; reports to it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "backends/backend.h"
#include "disks/vhost_block.h"
#include "netsim/switch.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/roles/roles.h"
#include "vboot/run/machine/agent_client.h"
#include "vboot/run/machine/console_log.h"
#include "vboot/run/machine/gift.h"
#include "vboot/run/machine/handover.h"
#include "vboot/run/machine/machine_cable.h"
#include "vboot/run/machine/refusals.h"
#include "vboot/run/machine/stream_host.h"
#include "vboot/watch/boot_watch.h"
#include "vboot/watch/why.h"

namespace rookery::vboot {

// What a machine starts from.
struct BootFiles {
  std::filesystem::path kernel, initramfs;
  std::filesystem::path storage_kernel{};  // for machines whose plan says so; empty in an older image
  std::filesystem::path modules{};         // behind the initramfs, if the kernel has any
  std::string words{};  // for its command line, behind those that all have; each with a blank before it
};

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

class Node final : public StreamHost, private backends::MachineEvents, private CableEvents {
 public:
  static Result<std::unique_ptr<Node>> make(EventLoop& loop, const MachinePlan& plan, NodeSetup setup,
                                            backends::Backend& backend, netsim::Switch& to,
                                            NodeEvents& events);
  ~Node() override;

  const MachinePlan& plan() const { return plan_; }
  const BootRecord& boot() const { return boot_; }
  // Of a failure, by who sees more than its own cable.
  void explained(const Why& why);
  ConsoleLog& console() { return console_; }
  // The last lines of this boot.
  std::vector<std::string> console_lines(std::size_t count) const {
    return console_.last_lines(count, console_at_power_on_);
  }
  backends::Machine& machine() { return *machine_; }
  backends::MachineState state() const { return machine_->state(); }
  std::vector<pid_t> processes() const { return machine_->processes(); }
  const netsim::LinkCounters& sent() const { return cable_.sent(); }
  const std::string& hostname() const { return plan_.name; }
  bool has_firmware() const { return has_firmware_; }
  // Of its backend, as Capabilities have it.
  const std::string& slowness() const { return slowness_; }

  Status power_on();                             // of a machine that was cut a moment ago: when it is off
  void could_not_start(const std::string& why);  // power_on() failed, and nobody else will hear of it
  Status power(backends::PowerAction action);
  // The machine's whole state, to come back to: of machines that can. What is known by that name already is
  // replaced. `done` comes once, from the loop, unless an error is returned or the machine goes first.
  Status take_snapshot(const std::string& name, backends::Snapshots::Done done);
  Status restore(const std::string& name, backends::Snapshots::Done done);
  void console_input(std::string_view bytes);
  // Runs a program in the machine; both callbacks come from the loop. Returns a number for cancel_exec().
  Result<std::uint32_t> exec(const std::vector<std::string>& argv, ExecEvents events);
  void cancel_exec(std::uint32_t request) override;
  // Asks the agent for a sign of life, unless it owes one already; how long it has owed one.
  Duration silence();
  Result<std::uint32_t> open(std::uint16_t port, const std::vector<std::string>& argv,
                             ExecEvents events) override;
  Status stream_input(std::uint32_t request, ByteView bytes) override;
  Status stream_taken(std::uint32_t request, std::uint32_t bytes) override;
  // Its time of day jumps, forward or back.
  Status step_clock(Duration by);
  // Captures its cable from now on; null ends it.
  Status capture(const std::shared_ptr<netsim::CaptureFile>& file) { return cable_.capture(file); }
  const Gift* gift() const { return setup_.gift.get(); }
  bool is_captured() const { return cable_.capture_file() != nullptr; }
  const netsim::CaptureFile* capture_file() const { return cable_.capture_file(); }
  // What was refused or lost of it since the lab came up, and what was given up for a fault of its.
  std::vector<Refusal> refusals() const;
  std::vector<std::string> given_up() const;
  // For faults.
  Cable cable() { return cable_.for_faults(); }
  const netsim::SwitchPort& port() const { return cable_.port(); }
  const netsim::SwitchPortCounters& port_at_power_on() const { return cable_.port_at_power_on(); }
  bool is_on() const {
    return machine_->state() == backends::MachineState::running && leaving_ == Leaving::no;
  }

 private:
  // What is known of a machine here beside what its backend keeps, as of the same moment.
  struct Snapshot {
    std::filesystem::path file;
    BootRecord boot;
    std::optional<agent::Program> program;
    std::optional<agent::Channel> channel;
  };

  Node(EventLoop& loop, const MachinePlan& plan, NodeSetup setup, netsim::Switch& to, NodeEvents& events);

  void state_changed(backends::Machine& machine, backends::MachineState state,
                     const std::string& reason) override;
  void console_output(backends::Machine& machine, std::string_view bytes) override;
  void frame_passes(netsim::Direction direction, const netsim::Frame& frame) override;
  void agent_frame(ByteView frame) override { agent_->receive(frame); }

  template <typename Asked>
  Result<std::uint32_t> ask(Asked what, ExecEvents events);
  Result<backends::Snapshots*> snapshots();
  void restored();
  template <typename Asked>
  Result<std::uint32_t> ask_now(Asked what, ExecEvents events);
  void hand_over();
  void begin_boot();
  bool comes_back(const std::string& reason) const;
  void restarts_itself();
  void watch_deadline();
  void hello(const agent::Hello& message);
  void agent_says(const agent::Message& message);
  void enter(Stage stage, std::string detail);
  void fail(std::string words, FailedBy by);
  void send_role(agent::Source source);
  void end_execs(const std::string& why);

  EventLoop& loop_;
  std::unique_ptr<Lane> lane_;  // in lockstep
  MachinePlan plan_;
  NodeSetup setup_;
  NodeEvents& events_;
  MachineCable cable_;
  bool has_firmware_ = false;
  std::string slowness_;
  std::string_view no_snapshots_;  // why
  BootRecord boot_;
  std::optional<BootRecord> unfinished_;  // the boot before this one, if that ended by a restart of its own
  std::string restart_said_;              // by the agent: the boot script restarts it
  BootWatch watch_;
  ConsoleLog console_;
  std::uint64_t console_at_power_on_ = 0;
  EventId deadline_;

  std::unique_ptr<AgentClient> agent_;
  enum class Leaving : std::uint8_t { no, cut, reset };
  Leaving leaving_ = Leaving::no;  // its power was cut, and its end is to come
  bool on_again_ = false;          // after that end
  EventId start_again_;

  std::unique_ptr<disks::VhostBlockDevice> disk_;
  std::unique_ptr<backends::Machine> machine_;
  std::optional<agent::Program> program_;  // the last that has spoken in this boot
  std::uint32_t last_request_ = 0;
  std::map<std::uint32_t, ExecEvents> execs_;
  std::map<std::string, Snapshot> snapshots_;
  std::string restoring_;               // the snapshot that it goes back to
  std::unique_ptr<Handover> handover_;  // of this boot
};

}  // namespace rookery::vboot
