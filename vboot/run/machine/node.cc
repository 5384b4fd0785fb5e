#include "vboot/run/machine/node.h"

#include <utility>

namespace rookery::vboot {
namespace {

constexpr std::size_t kConsoleLooked = 200;  // lines, for a panic

}  // namespace

Node::Node(EventLoop& loop, const MachinePlan& plan, NodeSetup& setup, netsim::Switch& to, NodeEvents& events)
    : loop_(loop),
      lane_(loop.lockstep() ? Lane::make(loop, plan.name) : nullptr),
      plan_(plan),
      events_(events),
      cable_(loop, plan_,
             {.folder = setup.folder,
              .vlans = setup.vlans,
              .watcher = setup.watcher,
              .lane = lane_.get()},
             to, *this),
      boot_(loop, plan_, *this),
      agent_(loop, plan_, {.role = std::move(setup.role), .gift = std::move(setup.gift)}, boot_, *this,
             [this](ByteView frame) { cable_.send_to_agent(frame); }) {}

Node::~Node() {
  loop_.cancel(start_again_);
}

Result<std::unique_ptr<Node>> Node::make(EventLoop& loop, const MachinePlan& plan, NodeSetup setup,
                                         backends::Backend& backend, netsim::Switch& to, NodeEvents& events) {
  std::unique_ptr<Node> node(new Node(loop, plan, setup, to, events));
  auto seat = Seat::make(loop, node->plan_,
                         {.folder = std::move(setup.folder),
                          .memory_folder = std::move(setup.memory_folder),
                          .boot = std::move(setup.boot),
                          .medium = setup.medium,
                          .medium_file = std::move(setup.medium_file),
                          .command_line = std::move(setup.command_line),
                          .seed = setup.seed,
                          .clock = setup.clock,
                          .lane = node->lane_.get()},
                         backend, node->cable_, *node);
  if (!seat) return tl::unexpected<Error>(seat.error());
  node->seat_ = std::move(*seat);
  return node;
}

Status Node::power_on() {
  if (power_.wished(PowerState::Wish::on, seat_->state()) == PowerState::Deed::wait) return {};
  return start();
}

Status Node::start() {
  ROOKERY_TRY(seat_->machine().start());
  begin_boot();
  return {};
}

void Node::could_not_start(const std::string& why) {
  begin_boot();
  boot_.fail(why, FailedBy::start);
}

void Node::begin_boot() {
  cable_.powered_on();
  console_at_power_on_ = console_.written();
  agent_.machine_booted();
  boot_.begin();
}

Status Node::power(backends::PowerAction action) {
  if (action == backends::PowerAction::press) return agent_.ask_to_power_off();
  if (action == backends::PowerAction::cut) events_.power_cut(*this);
  const bool resets = action == backends::PowerAction::reset;
  const auto wish = resets ? PowerState::Wish::reset : PowerState::Wish::cut;
  const backends::MachineState before = seat_->state();
  switch (power_.wished(wish, before)) {
    case PowerState::Deed::wait:
      return {};
    case PowerState::Deed::start:
      return start();
    case PowerState::Deed::pass_on:
      break;
  }
  ROOKERY_TRY(seat_->machine().power(action));
  // Its end comes as an event; from this moment on it is off for everybody who asks, and has nothing to say.
  if (power_.taken(wish, before))
    boot_.cut(resets);
  else
    boot_.stays_off();
  return {};
}

void Node::machine_changed(backends::MachineState state, const std::string& reason) {
  power_.changed();
  if (state != backends::MachineState::running) return went_off(state, reason);
  if (reason == backends::kRestored) return restored();
  begin_boot();  // after a reset
}

void Node::went_off(backends::MachineState state, const std::string& reason) {
  agent_.machine_went_off("the machine went off: " + reason);
  switch (power_.ended(state, reason, boot_at_its_end(reason))) {
    case PowerState::End::died:
      boot_.fail("it died, " + reason, FailedBy::its_end);
      break;
    case PowerState::End::too_soon:
      boot_.fail("it went off before it was ready: " + reason, FailedBy::its_end);
      break;
    case PowerState::End::restarts:
      boot_.restarts_itself();
      break;
    case PowerState::End::off:
      break;
  }
  boot_.went_off();
  if (!power_.comes_on_again()) return;
  start_again_ = loop_.soon([this] {
    if (!power_.starts_again(seat_->state())) return;  // somebody was quicker, or wants it off
    if (const auto started = power_on(); !started) could_not_start(started.error().message);
  });
}

PowerState::Boot Node::boot_at_its_end(const std::string& reason) const {
  const BootRecord& boot = boot_.record();
  PowerState::Boot at_its_end;
  at_its_end.settled = boot.settled();
  at_its_end.arrived = boot.arrived();
  at_its_end.restart_said = boot_.restart_was_said();
  at_its_end.is_firmware = !boot.agent_spoke && boot.stage <= Stage::kernel;
  at_its_end.has_panicked = reason == backends::kResetByGuest && !boot.settled() &&
                            panic_line(console_lines(kConsoleLooked)).has_value();
  return at_its_end;
}

void Node::boots_again() {
  if (!boot().settled()) boot_.restarts_itself();
  begin_boot();
}

Status Node::take_snapshot(const std::string& name, backends::Snapshots::Done done) {
  return seat_->take_snapshot(name, [this, name, done = std::move(done)](const Status& taken) {
    // The guest stands still: what was said and heard up to now is what it knows of as well.
    if (taken) snapshots_[name] = {boot(), agent_.moment()};
    done(taken);
  });
}

Status Node::restore(const std::string& name, backends::Snapshots::Done done) {
  ROOKERY_TRY(seat_->restore(name, std::move(done)));
  restoring_ = name;
  power_.goes_back(seat_->state());
  return {};
}

void Node::restored() {
  const Moment& moment = snapshots_.at(restoring_);
  agent_.resume(moment.agent);
  boot_.go_back_to(moment.boot);
}

void Node::console_input(std::string_view bytes) {
  agent_.open_console();
  seat_->machine().console_input(bytes);
}

void Node::machine_wrote(std::string_view bytes) {
  console_.append(bytes);
  events_.console_output(*this, bytes);
}

void Node::frame_passes(netsim::Direction direction, const netsim::Frame& frame) {
  boot_.frame_passes(direction, frame, cable_.number_in_capture());
}

}  // namespace rookery::vboot
