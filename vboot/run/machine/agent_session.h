// The conversation with one machine's agent: its hello, the role and the gift that it is given, the programs
// and streams that it runs, the console that it opens. Owned by the machine's Node for as long as that is
// there; the boot that the agent tells of is moved on directly.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vboot/lab/lab_plan.h"
#include "vboot/roles/roles.h"
#include "vboot/run/machine/agent_client.h"
#include "vboot/run/machine/boot_progress.h"
#include "vboot/run/machine/gift.h"
#include "vboot/run/machine/handover.h"
#include "vboot/run/machine/stream_host.h"

namespace rookery::vboot {

class AgentEvents {
 public:
  virtual ~AgentEvents() = default;
  // Whether what it says counts: it does not once the machine's power was cut.
  virtual bool is_heard() const = 0;
  // A program of an early stage speaks again: the guest has restarted by itself.
  virtual void boots_again() = 0;
};

// What a machine is given by its agent.
struct AgentSetup {
  RoleBundle role;
  std::shared_ptr<const Gift> gift;  // null: the lab gives nothing to anybody
};

class AgentSession final : public StreamHost {
 public:
  // `transmit` takes frames to the machine's management NIC; without one there is no agent, and nothing is
  // refused but what needs it. `plan`, `boot` and `events` outlive it.
  AgentSession(EventLoop& loop, const MachinePlan& plan, AgentSetup setup, BootProgress& boot,
               AgentEvents& events, AgentClient::Transmit transmit);

  void receive(ByteView frame) { client_->receive(frame); }

  // All that follows is refused while the agent cannot do it; the Error says why. Callbacks come from the
  // loop.
  Result<std::uint32_t> exec(const std::vector<std::string>& argv, ExecEvents events);
  void cancel_exec(std::uint32_t request) override;
  Result<std::uint32_t> open(std::uint16_t port, const std::vector<std::string>& argv,
                             ExecEvents events) override;
  Status stream_input(std::uint32_t request, ByteView bytes) override;
  Status stream_taken(std::uint32_t request, std::uint32_t bytes) override;
  // The machine's time of day jumps, forward or back.
  Status step_clock(Duration by);
  // As by the power button.
  Status ask_to_power_off();
  // A shell on the console, unless there is one; nothing if it is not ready.
  void open_console();
  // Asks for a sign of life, unless it owes one already; how long it has owed one.
  Duration silence();

  // The machine boots: whoever speaks next is the first.
  void machine_booted() { program_.reset(); }
  // Whoever waits for one of its programs is told `why`.
  void machine_went_off(const std::string& why);

  // What is known of the conversation at a moment, to go on from there: for snapshots.
  struct Moment {
    std::optional<agent::Program> program;
    std::optional<agent::Channel> channel;
  };
  Moment moment() const;
  void resume(const Moment& moment);

  const Gift* gift() const { return setup_.gift.get(); }
  std::uint64_t malformed() const { return client_ ? client_->malformed() : 0; }

 private:
  void says(const agent::Message& message);
  void hello(const agent::Hello& message);
  void exited(const agent::Exited& message);
  void send_role(agent::Source source);
  void hand_over();
  void end_execs(const std::string& why);
  template <typename Asked>
  Result<std::uint32_t> ask(Asked what, ExecEvents events);
  template <typename Asked>
  Result<std::uint32_t> ask_now(Asked what, ExecEvents events);

  const MachinePlan& plan_;
  AgentSetup setup_;
  BootProgress& boot_;
  AgentEvents& events_;
  std::unique_ptr<AgentClient> client_;    // null: the machine has no management NIC
  std::optional<agent::Program> program_;  // the last that has spoken in this boot
  std::uint32_t last_request_ = 0;
  std::map<std::uint32_t, ExecEvents> execs_;
  std::unique_ptr<Handover> handover_;  // of this boot
};

}  // namespace rookery::vboot
