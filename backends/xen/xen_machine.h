// A machine that is a Xen domain. Made by the Xen backend; see backend.h for what it does.
#pragma once

#include <memory>

#include "backends/backend.h"
#include "backends/coming_back.h"
#include "backends/stop_and_go.h"
#include "backends/xen/xen_domain.h"
#include "backends/xen/xen_thread.h"
#include "base/unique_fd.h"

namespace rookery::backends {

// Everything that libxl does is asked of its thread and answered through the inbox, by the power-on that
// asked (answer() below): what an earlier one still has to say is not heard. So the machine is one of
//
//   off -> making -> running -> ending -> off or failed
//
// and in "making" and "ending" a deadline runs: a dom0 that does not answer is told of, not waited for.
class XenMachine final : public Machine, public Snapshots {
 public:
  XenMachine(EventLoop& loop, MachineSpec spec, MachineEvents& events, std::shared_ptr<XenThread> thread,
             XenDomainPlan plan, Duration patience)
      : loop_(loop),
        spec_(std::move(spec)),
        events_(events),
        thread_(std::move(thread)),
        plan_(std::move(plan)),
        patience_(patience) {}
  ~XenMachine() override;

  const std::string& name() const override { return spec_.name; }
  Status start() override;
  Status power(PowerAction action) override;
  MachineState state() const override { return state_; }
  void console_input(std::string_view bytes) override;
  std::vector<pid_t> processes() const override { return {}; }  // a domain is none of dom0's
  Pausing* pausing() override { return &pausing_; }
  Snapshots* snapshots() override { return this; }
  Status take(const std::filesystem::path& file, Done done) override;
  Status restore(const std::filesystem::path& file, Done done) override;

 private:
  // From any thread: calls a member of ours in the loop, if this power-on is still the one.
  template <typename... Values>
  std::function<void(Values...)> answer(void (XenMachine::*member)(Values...));
  void ask(std::function<void(XenContext&, XenDomain&)> what);

  void begin(std::shared_ptr<UniqueFd> snapshot);
  void start_again(ComingBack<std::shared_ptr<UniqueFd>>::How how);
  void made(Result<XenDomainUp> up);
  void go_on();
  void went_on(Status how);
  void saved(const Status& how);
  void finish_snapshot(const Status& how);
  // Of what moves all of the guest's memory: at 16 MiB a second at least.
  Duration patience_with_memory() const { return patience_ + std::chrono::seconds(spec_.memory.count >> 24); }
  void shut_down(int reason);
  void end(MachineState state, std::string reason);
  void destroyed(Status how);
  void ended(MachineState state, const std::string& reason);
  Status announce_interfaces(std::uint32_t domain);
  void expect(std::string_view what, Duration patience);
  void read_console();
  void tell(bool stop, Action done);

  EventLoop& loop_;
  MachineSpec spec_;
  MachineEvents& events_;
  std::shared_ptr<XenThread> thread_;
  XenDomainPlan plan_;
  Duration patience_;
  StopAndGo pausing_{loop_, [this](bool stop, Action done) { tell(stop, std::move(done)); }};
  std::shared_ptr<XenDomain> domain_;
  std::shared_ptr<std::uint64_t> life_ = std::make_shared<std::uint64_t>(0);  // which power-on this is
  std::shared_ptr<UniqueFd> console_;
  Watch console_watch_;
  std::vector<UniqueFd> interfaces_;  // the lines on which the network was told of them
  MachineState state_ = MachineState::off;
  bool ending_ = false;
  MachineState end_state_ = MachineState::off;
  std::string end_reason_;
  ComingBack<std::shared_ptr<UniqueFd>> coming_{loop_, [this](auto how) { start_again(std::move(how)); }};
  Done snapshot_done_;             // none: no snapshot is being written or taken up
  std::filesystem::path writing_;  // the one that is
  EventId deadline_;
};

// `patience`: how long dom0 may take for what it is asked before the machine is given up.
Result<std::unique_ptr<Machine>> make_xen_machine(EventLoop& loop, MachineSpec spec, MachineEvents& events,
                                                  std::shared_ptr<XenThread> thread, Duration patience);

}  // namespace rookery::backends
