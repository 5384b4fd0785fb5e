#include "vboot/run/machine/node.h"

#include <fmt/format.h>

#include <utility>

namespace rookery::vboot {
namespace {

// The disk's socket within the machine's folder. All machines have the same, so that nothing about one
// machine is in its kernel's command line.
constexpr const char* kDisk = "disk0";
constexpr std::size_t kSnapshotsPerMachine = 8;
constexpr std::size_t kConsoleLooked = 200;  // lines, for a panic

}  // namespace

Node::Node(EventLoop& loop, const MachinePlan& plan, NodeSetup setup, netsim::Switch& to, NodeEvents& events)
    : loop_(loop),
      lane_(loop.lockstep() ? Lane::make(loop, plan.name) : nullptr),
      plan_(plan),
      setup_(std::move(setup)),
      events_(events),
      cable_(loop, plan_,
             {.folder = setup_.folder,
              .vlans = std::move(setup_.vlans),
              .watcher = setup_.watcher,
              .lane = lane_.get()},
             to, *this),
      boot_(loop, plan_, *this),
      agent_(loop, plan_, {.role = std::move(setup_.role), .gift = std::move(setup_.gift)}, boot_, *this,
             [this](ByteView frame) { cable_.send_to_agent(frame); }) {}

Node::~Node() {
  loop_.cancel(start_again_);
  machine_.reset();
}

Result<std::unique_ptr<Node>> Node::make(EventLoop& loop, const MachinePlan& plan, NodeSetup setup,
                                         backends::Backend& backend, netsim::Switch& to, NodeEvents& events) {
  std::unique_ptr<Node> node(new Node(loop, plan, std::move(setup), to, events));
  const NodeSetup& given = node->setup_;
  std::error_code error;
  std::filesystem::create_directories(given.folder, error);
  if (error) return fail_errno("cannot make " + given.folder.string(), error.value());
  const auto able = backend.probe(plan.hardware);
  if (!able) return tl::unexpected<Error>(able.error());
  node->has_firmware_ = able->firmware;
  node->slowness_ = able->slowness;
  node->no_snapshots_ = able->why_not("snapshot");
  auto nics = node->cable_.plugs(able->wire, able->management_wire);
  if (!nics) return tl::unexpected<Error>(nics.error());

  backends::MachineSpec spec;
  spec.name = plan.name;
  spec.memory = plan.memory;
  spec.folder = given.folder;
  const bool has_modules = backends::is_given_a_kernel(plan.hardware.chipset);
  if (!able->firmware || has_modules) {                              // otherwise its own finds what to boot
    const bool wants_storage = plan.storage_kernel && !has_modules;  // whose kernel has all as modules
    spec.kernel = wants_storage ? given.boot.storage_kernel : given.boot.kernel;
    if (wants_storage && spec.kernel.empty())
      return rookery::fail(
          "the lab's image has no kernel with iSCSI and NFS, which this machine needs: 'rookery image build "
          "--storage' adds it (with '--name IMAGE' for another image than debian-12; a kernel is compiled, "
          "which takes some minutes and the network)");
    spec.initramfs = given.boot.initramfs;
    spec.modules = given.boot.modules;
    spec.command_line = given.command_line + given.boot.words;
  }
  spec.hardware = plan.hardware;
  spec.memory_folder = given.memory_folder;
  spec.seed = given.seed;
  spec.clock = given.clock;
  spec.lane = node->lane_.get();
  spec.nics = std::move(*nics);
  // Who is given a kernel has nothing but a disk to find the system on.
  if (given.medium != nullptr && !able->disk_wire && has_modules) {
    return rookery::fail(ErrorKind::usage, fmt::format("machine '{}': {}", plan.name, able->why_not("disk")));
  }
  if (given.medium != nullptr && able->disk_wire == backends::DiskWire::file) {
    spec.disks.push_back({.file = given.medium_file});
  } else if (given.medium != nullptr && able->disk_wire) {
    auto disk = disks::VhostBlockDevice::listen(loop, given.folder / kDisk, *given.medium, "rookery-medium",
                                                node->lane_.get());
    if (!disk) return tl::unexpected<Error>(disk.error());
    node->disk_ = std::move(*disk);
    spec.disks.push_back({.socket = kDisk});
  }
  auto machine = backend.create(std::move(spec), *node);
  if (!machine) return tl::unexpected<Error>(machine.error());
  node->machine_ = std::move(*machine);
  return node;
}

Status Node::power_on() {
  if (leaving_ == Leaving::cut) {
    on_again_ = true;
    return {};
  }
  ROOKERY_TRY(machine_->start());
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
  if (machine_->state() != backends::MachineState::running) {
    return action == backends::PowerAction::reset ? power_on() : machine_->power(action);
  }
  ROOKERY_TRY(machine_->power(action));
  // Its end comes as an event; from this moment on it is off for everybody who asks, and has nothing to say.
  leaving_ = action == backends::PowerAction::reset ? Leaving::reset : Leaving::cut;
  on_again_ = false;
  boot_.cut(leaving_ == Leaving::reset);
  return {};
}

void Node::state_changed(backends::Machine&, backends::MachineState state, const std::string& reason) {
  leaving_ = Leaving::no;
  if (state != backends::MachineState::running) return went_off(state, reason);
  if (reason == backends::kRestored) return restored();
  begin_boot();  // after a reset
}

void Node::went_off(backends::MachineState state, const std::string& reason) {
  agent_.machine_went_off("the machine went off: " + reason);
  if (state == backends::MachineState::failed) {
    boot_.fail("it died, " + reason, FailedBy::its_end);
  } else if (comes_back(reason)) {
    boot_.restarts_itself();
    on_again_ = true;
  } else if (!boot().settled() && reason != "power cut" && reason != "reset" &&
             reason != backends::kRestored) {
    boot_.fail("it went off before it was ready: " + reason, FailedBy::its_end);
  }
  // A system that restarts itself once it was ready wants to come back, as on any machine.
  on_again_ = on_again_ || (boot().arrived() && reason == backends::kResetByGuest);
  boot_.went_off();
  if (!std::exchange(on_again_, false)) return;
  start_again_ = loop_.soon([this] {
    if (is_on()) return;  // somebody else was quicker
    if (const auto started = power_on(); !started) could_not_start(started.error().message);
  });
}

// On its way to a system, a machine that resets itself begins anew: its boot script says so, or firmware
// that nobody speaks for. A kernel that panicked resets it, too, and is none of these.
bool Node::comes_back(const std::string& reason) const {
  if (boot().settled() || reason != backends::kResetByGuest) return false;
  if (boot_.restart_was_said()) return true;
  return !boot().agent_spoke && boot().stage <= Stage::kernel && !panic_line(console_lines(kConsoleLooked));
}

void Node::boots_again() {
  if (!boot().settled()) boot_.restarts_itself();
  begin_boot();
}

Result<backends::Snapshots*> Node::snapshots() {
  if (backends::Snapshots* able = machine_->snapshots()) return able;
  return rookery::fail(ErrorKind::usage,
                       fmt::format("{} is a machine of the backend {}, which has no snapshots: {}",
                                   plan_.name, plan_.backend, no_snapshots_));
}

Status Node::take_snapshot(const std::string& name, backends::Snapshots::Done done) {
  const auto able = snapshots();
  if (!able) return tl::unexpected<Error>(able.error());
  if (snapshots_.size() >= kSnapshotsPerMachine && snapshots_.count(name) == 0)
    return rookery::fail(ErrorKind::usage, plan_.name + " has " + std::to_string(kSnapshotsPerMachine) +
                                               " snapshots already; a name of one of them replaces it");
  // The old one stands until the new one does.
  const std::filesystem::path file = setup_.memory_folder / (plan_.name + "." + name + ".snapshot");
  const std::filesystem::path fresh = file.string() + ".new";
  return (*able)->take(fresh, [this, name, file, fresh, done = std::move(done)](const Status& taken) {
    if (!taken) return done(taken);
    std::error_code error;
    std::filesystem::rename(fresh, file, error);
    if (error) return done(fail_errno("cannot rename " + fresh.string(), error.value()));
    // The guest stands still: what was said and heard up to now is what it knows of as well.
    snapshots_[name] = {file, boot(), agent_.moment()};
    done({});
  });
}

Status Node::restore(const std::string& name, backends::Snapshots::Done done) {
  const auto able = snapshots();
  if (!able) return tl::unexpected<Error>(able.error());
  const auto found = snapshots_.find(name);
  if (found == snapshots_.end())
    return rookery::fail(ErrorKind::usage, plan_.name + " has no snapshot '" + name + "'");
  ROOKERY_TRY((*able)->restore(found->second.file, std::move(done)));
  restoring_ = name;
  if (machine_->state() == backends::MachineState::running) leaving_ = Leaving::reset;
  on_again_ = false;
  return {};
}

void Node::restored() {
  const Snapshot& moment = snapshots_.at(restoring_);
  agent_.resume(moment.agent);
  boot_.go_back_to(moment.boot);
}

void Node::console_input(std::string_view bytes) {
  agent_.open_console();
  machine_->console_input(bytes);
}

void Node::console_output(backends::Machine&, std::string_view bytes) {
  console_.append(bytes);
  events_.console_output(*this, bytes);
}

void Node::frame_passes(netsim::Direction direction, const netsim::Frame& frame) {
  boot_.frame_passes(direction, frame, cable_.number_in_capture());
}

}  // namespace rookery::vboot
