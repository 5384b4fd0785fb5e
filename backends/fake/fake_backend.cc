#include "backends/fake/fake_backend.h"

#include <charconv>

#include "base/file.h"

namespace rookery::backends {
namespace {

// A snapshot of one says where its script is.
constexpr std::string_view kAtStep = "step ", kAtStepEchoing = "echo ";

class FakeMachine final : public Machine, private Snapshots {
 public:
  FakeMachine(EventLoop& loop, MachineSpec spec, MachineEvents& events, FakeScript script)
      : loop_(loop), spec_(std::move(spec)), events_(events), script_(std::move(script)) {
    for (const NicPlug& nic : spec_.nics) {
      if (nic.in_process == nullptr) continue;
      nic.in_process->to_machine = [this, network = nic.in_process](ByteView frame) {
        if (echo_) network->to_network(frame);
      };
    }
  }
  ~FakeMachine() override {
    loop_.cancel(next_);
    loop_.cancel(end_);
    loop_.cancel(snapshot_);
    for (const NicPlug& nic : spec_.nics) {
      if (nic.in_process != nullptr) nic.in_process->to_machine = nullptr;
    }
  }

  const std::string& name() const override { return spec_.name; }
  MachineState state() const override { return state_; }
  std::vector<pid_t> processes() const override { return {}; }

  Status start() override {
    if (state_ == MachineState::running) return fail(ErrorKind::usage, spec_.name + " is running already");
    state_ = MachineState::running;
    echo_ = false;
    step_ = 0;
    go_on();
    return {};
  }

  Status power(PowerAction action) override {
    if (state_ != MachineState::running) {
      loop_.cancel(end_);  // it is not to come back by itself
      return action == PowerAction::reset ? start() : Status{};
    }
    const bool reset = action == PowerAction::reset;
    end(MachineState::off,
        reset                          ? "reset"
        : action == PowerAction::press ? "powered off"
                                       : "power cut",
        reset);
    return {};
  }

  void console_input(std::string_view bytes) override {
    if (state_ == MachineState::running && echo_) print(std::string(bytes));
  }
  Snapshots* snapshots() override { return this; }

 private:
  Status take(const std::filesystem::path& file, Done done) override {
    if (state_ != MachineState::running) return fail(ErrorKind::expectation, spec_.name + " is off");
    if (std::filesystem::exists(file)) return fail(ErrorKind::usage, file.string() + " is there already");
    const Status taken =
        write_file(file, std::string(echo_ ? kAtStepEchoing : kAtStep) + std::to_string(step_));
    snapshot_ = loop_.soon([taken, done = std::move(done)] { done(taken); });
    return {};
  }
  // Of the wait before the next step nothing has passed.
  Status restore(const std::filesystem::path& file, Done done) override {
    const auto text = read_file(file);
    if (!text) return tl::unexpected<Error>(text.error());
    if (state_ == MachineState::running) end(MachineState::off, std::string(kRestored), false);
    snapshot_ = loop_.soon([this, text = *text, done = std::move(done)] {
      const bool echoing = text.starts_with(kAtStepEchoing);
      Status restored;
      if (!echoing && !text.starts_with(kAtStep)) {
        restored = fail("this is no snapshot");
      } else {
        std::from_chars(text.data() + kAtStep.size(), text.data() + text.size(), step_);
        echo_ = echoing;
        go_on();
      }
      state_ = restored ? MachineState::running : MachineState::failed;
      events_.state_changed(*this, state_, restored ? std::string(kRestored) : restored.error().message);
      done(restored);
    });
    return {};
  }

  void go_on() {
    next_ = {};
    if (step_ < script_.size()) next_ = loop_.after(script_[step_].after, [this] { run_step(); });
  }
  void run_step() {
    const FakeStep step = script_[step_++];
    if (const auto* text = std::get_if<FakeStep::Print>(&step.what)) {
      print(text->text);
    } else if (const auto* sent = std::get_if<FakeStep::Send>(&step.what)) {
      if (!spec_.nics.empty() && spec_.nics[0].in_process != nullptr)
        spec_.nics[0].in_process->to_network(sent->frame);
    } else if (std::holds_alternative<FakeStep::Echo>(step.what)) {
      echo_ = true;
    } else if (const auto* crash = std::get_if<FakeStep::Crash>(&step.what)) {
      return end(MachineState::failed, crash->reason, false);
    } else if (std::holds_alternative<FakeStep::Reset>(step.what)) {
      return end(MachineState::off, std::string(kResetByGuest), false);
    } else {
      return end(MachineState::off, "powered off", false);
    }
    go_on();
  }
  void print(std::string text) {
    loop_.soon([this, text = std::move(text), alive = std::weak_ptr<int>(alive_)] {
      if (!alive.expired()) events_.console_output(*this, text);
    });
  }
  // Its end is told from the loop, as that of a real machine is.
  void end(MachineState state, std::string reason, bool restart) {
    loop_.cancel(next_);
    loop_.cancel(end_);
    next_ = {};
    echo_ = false;
    end_ = loop_.soon([this, state, reason = std::move(reason), restart] {
      state_ = state;
      if (!restart) return events_.state_changed(*this, state, reason);
      end_ = loop_.soon([this, reason] {
        (void)start();
        events_.state_changed(*this, state_, reason);
      });
      events_.state_changed(*this, state, reason);
    });
  }

  EventLoop& loop_;
  MachineSpec spec_;
  MachineEvents& events_;
  FakeScript script_;
  std::size_t step_ = 0;
  MachineState state_ = MachineState::off;
  bool echo_ = false;
  EventId next_, end_, snapshot_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace

Result<Capabilities> FakeBackend::probe(const Hardware&) {
  Capabilities capabilities;
  capabilities.virtual_time = true;
  capabilities.press = true;
  capabilities.snapshot = true;
  capabilities.nics_max = 8;
  capabilities.lacks = {{"pause", "a script has no processor that could be stopped"},
                        {"firmware", "a script is no PC; use backend: qemu"},
                        {"disk", "a script reads no disk; use backend: uml"}};
  return capabilities;
}

Result<std::unique_ptr<Machine>> FakeBackend::create(MachineSpec spec, MachineEvents& events) {
  const auto script = scripts_.find(spec.kernel.string());
  FakeScript steps = script == scripts_.end() ? FakeScript{} : script->second;
  return std::make_unique<FakeMachine>(loop_, std::move(spec), events, std::move(steps));
}

}  // namespace rookery::backends
