#include "vboot/run/machine/node.h"

#include <fmt/format.h>

#include <algorithm>

namespace rookery::vboot {
namespace {

// The disk's socket within the machine's folder. All machines have the same, so that nothing about one
// machine is in its kernel's command line.
constexpr const char* kDisk = "disk0";
constexpr std::size_t kExecsPerMachine = 64;
constexpr std::size_t kSnapshotsPerMachine = 8;
constexpr std::size_t kConsoleLooked = 200;  // lines, for a panic

Stage stage_of(agent::BootStage stage) {
  switch (stage) {
    case agent::BootStage::dhcp:
      return Stage::dhcp;
    case agent::BootStage::script:
      return Stage::script;
    case agent::BootStage::kernel:
      return Stage::kernel;
    case agent::BootStage::root:
      return Stage::root;
    case agent::BootStage::ready:
      return Stage::ready;
  }
  return Stage::firmware;
}

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
      watch_(*netsim::MacAddress::from_bytes(plan.data_mac)) {
  if (plan_.management_mac) {
    agent_ = std::make_unique<AgentClient>(
        loop_, *plan_.management_mac, [this](const agent::Message& message) { agent_says(message); },
        [this](ByteView frame) { cable_.send_to_agent(frame); });
  }
  if (!plan_.management_mac) boot_.last = Stage::root;
}

Node::~Node() {
  loop_.cancel(deadline_);
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
    snapshots_[name] = {file, boot_, program_, agent_ ? std::optional(agent_->channel()) : std::nullopt};
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

// It goes on in the boot and in the conversation in which it was.
void Node::restored() {
  const Snapshot& snapshot = snapshots_.at(restoring_);
  boot_ = snapshot.boot;
  boot_.since = boot_.first_on = loop_.now();
  program_ = snapshot.program;
  if (agent_ && snapshot.channel) agent_->resume(*snapshot.channel);
  events_.stage_changed(*this);
  watch_deadline();
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
  fail(why, FailedBy::start);
}

void Node::begin_boot() {
  boot_.power_on(loop_.now());
  if (unfinished_) boot_.restart(*unfinished_, std::move(restart_said_), loop_.now());
  unfinished_.reset();
  restart_said_.clear();
  cable_.powered_on();
  console_at_power_on_ = console_.written();
  program_.reset();
  events_.stage_changed(*this);
  watch_deadline();
}

void Node::watch_deadline() {
  loop_.cancel(std::exchange(deadline_, {}));
  if (plan_.boot_timeout.count() == 0 || boot_.settled()) return;
  // One time for all of its tries.
  const Time end = boot_.first_on + plan_.boot_timeout;
  deadline_ = loop_.after(std::max(end - loop_.now(), Duration{}), [this] {
    if (boot_.settled()) return;
    const auto limit = static_cast<long long>(seconds(plan_.boot_timeout));
    fail("not ready after " + std::to_string(limit) + " s; it is still in the stage " +
             std::string(to_string(boot_.stage)) + (boot_.detail.empty() ? "" : " (" + boot_.detail + ")"),
         FailedBy::deadline);
  });
}

Status Node::power(backends::PowerAction action) {
  if (action == backends::PowerAction::press) {
    if (!agent_ || !agent_->in_session()) {
      return rookery::fail(ErrorKind::expectation,
                           plan_.name + " has no agent that could be asked to power off");
    }
    return agent_->send(agent::PowerOff{});
  }
  if (action == backends::PowerAction::cut) events_.power_cut(*this);
  if (machine_->state() != backends::MachineState::running) {
    return action == backends::PowerAction::reset ? power_on() : machine_->power(action);
  }
  ROOKERY_TRY(machine_->power(action));
  unfinished_.reset();
  restart_said_.clear();
  // Its end comes as an event; from this moment on it is off for everybody who asks, and has nothing to say.
  leaving_ = action == backends::PowerAction::reset ? Leaving::reset : Leaving::cut;
  on_again_ = false;
  if (leaving_ == Leaving::reset || boot_.stage != Stage::failed) {
    boot_.power_off(loop_.now());
  }
  return {};
}

void Node::state_changed(backends::Machine&, backends::MachineState state, const std::string& reason) {
  leaving_ = Leaving::no;
  if (state == backends::MachineState::running)
    return reason == backends::kRestored ? restored() : begin_boot();  // after a reset
  if (agent_) agent_->reset();
  end_execs("the machine went off: " + reason);
  if (state == backends::MachineState::failed) {
    fail("it died, " + reason, FailedBy::its_end);
  } else if (comes_back(reason)) {
    restarts_itself();
    on_again_ = true;
  } else if (!boot_.settled() && reason != "power cut" && reason != "reset" &&
             reason != backends::kRestored) {
    fail("it went off before it was ready: " + reason, FailedBy::its_end);
  }
  // A system that restarts itself once it was ready wants to come back, as on any machine.
  on_again_ = on_again_ || (boot_.arrived() && reason == backends::kResetByGuest);
  loop_.cancel(deadline_);
  if (boot_.stage != Stage::failed) {  // of which everybody has been told
    boot_.power_off(loop_.now());
    events_.stage_changed(*this);
  }
  if (!std::exchange(on_again_, false)) return;
  start_again_ = loop_.soon([this] {
    if (is_on()) return;  // somebody else was quicker
    if (const auto started = power_on(); !started) could_not_start(started.error().message);
  });
}

// On its way to a system, a machine that resets itself begins anew: its boot script says so, or firmware
// that nobody speaks for. A kernel that panicked resets it, too, and is none of these.
bool Node::comes_back(const std::string& reason) const {
  if (boot_.settled() || reason != backends::kResetByGuest) return false;
  if (!restart_said_.empty()) return true;
  return !boot_.agent_spoke && boot_.stage <= Stage::kernel && !panic_line(console_lines(kConsoleLooked));
}

void Node::restarts_itself() {
  if (restart_said_.empty()) restart_said_ = events_.what_is_missing(*this);
  unfinished_ = boot_;
}

void Node::enter(Stage stage, std::string detail) {
  const Stage before = boot_.stage;
  boot_.enter(stage, std::move(detail), loop_.now());
  if (boot_.stage == before) return;
  if (boot_.arrived()) loop_.cancel(deadline_);
  events_.stage_changed(*this);
}

void Node::fail(std::string words, FailedBy by) {
  if (boot_.stage == Stage::failed || boot_.stage == Stage::off) return;
  boot_.fail(std::move(words), by, loop_.now());
  loop_.cancel(deadline_);
  events_.stage_changed(*this);
}

void Node::explained(const Why& why) {
  boot_.cause = why.cause;
  boot_.reason = why.sentence;
}

void Node::agent_says(const agent::Message& message) {
  if (leaving_ != Leaving::no) return;
  if (const auto* first = std::get_if<agent::Hello>(&message)) {
    hello(*first);
  } else if (const auto* stage = std::get_if<agent::Stage>(&message)) {
    enter(stage_of(stage->stage), stage->detail);
  } else if (const auto* failed = std::get_if<agent::Failed>(&message)) {
    enter(stage_of(failed->stage), "");
    fail(failed->reason, FailedBy::itself);
  } else if (const auto* guessed = std::get_if<agent::Guessed>(&message)) {
    boot_.guess(guessed->what);
  } else if (const auto* restarting = std::get_if<agent::Restarting>(&message)) {
    restart_said_ = restarting->reason;
  } else if (std::get_if<agent::Ready>(&message) != nullptr) {
    enter(Stage::ready, "");
  } else if (const auto* output = std::get_if<agent::Output>(&message)) {
    const auto found = execs_.find(output->request);
    if (found != execs_.end()) found->second.output(output->stream, output->bytes);
  } else if (const auto* taken = std::get_if<agent::Taken>(&message)) {
    const auto found = execs_.find(taken->request);
    if (found != execs_.end() && found->second.taken) found->second.taken(taken->bytes);
  } else if (const auto* exited = std::get_if<agent::Exited>(&message)) {
    const auto found = execs_.find(exited->request);
    if (found == execs_.end()) return;
    const ExecEvents events = std::move(found->second);
    execs_.erase(found);
    events.exited(exited->by_signal ? 128 + exited->code : int{exited->code});
  }
}

// A program that comes before the last one that spoke: the guest has restarted by itself, and boots again.
void Node::hello(const agent::Hello& message) {
  const bool first_again = message.program == program_ && message.program != agent::Program::agent;
  if (program_ && (message.program < *program_ || first_again)) {
    end_execs("the machine restarted");
    if (!boot_.settled()) restarts_itself();
    begin_boot();
  }
  program_ = message.program;
  boot_.agent_spoke = true;
  if (message.version != agent::kProtocolVersion) {  // a microvm's or a disk's, which is not the lab's image
    fail(fmt::format(
             "its guest program speaks version {} of the agent's protocol, and this program version {}; "
             "make its image anew with 'rookery image build'",
             message.version, agent::kProtocolVersion),
         FailedBy::itself);
    (void)agent_->send(agent::PowerOff{});
    return;
  }
  if (message.program == agent::Program::stage2) send_role(message.source);
  if (setup_.gift && message.program == agent::Program::stage2) hand_over();
}

// Before its system starts: it waits for that.
void Node::hand_over() {
  const auto failed = [this](const std::string& why) {
    fail("what the lab gives it could not be put in: " + why, FailedBy::itself);
    (void)agent_->send(agent::PowerOff{});
  };
  auto handover = std::make_unique<Handover>(*this, setup_.gift, failed);
  const auto request = ask_now(agent::Open{0, 0, gift_script()}, handover->events());
  if (!request) return failed(request.error().message);
  handover_ = std::move(handover);
  handover_->begin(*request);
}

void Node::send_role(agent::Source source) {
  agent::Role role;
  role.name = setup_.role.roles;
  if (source == agent::Source::medium) role.hostname = plan_.name;  // others have it from the network
  for (const RoleLayer& layer : setup_.role.layers)
    role.layers.push_back({layer.component, layer.url, layer.sha256});
  for (const RoleFile& file : setup_.role.files) {
    const ByteView content = as_bytes(file.content);
    role.files.push_back(
        {file.path, static_cast<std::uint16_t>(file.mode), {content.begin(), content.end()}});
  }
  if (setup_.gift) role.files.push_back({"run/rookery/handover", 0644, {}});  // something follows
  if (auto sent = agent_->send(role); !sent)
    fail("its role could not be sent: " + sent.error().message, FailedBy::deadline);
}

// Sends what the agent answers with Exited.
template <typename Asked>
Result<std::uint32_t> Node::ask(Asked what, ExecEvents events) {
  if (!agent_ || boot_.stage != Stage::ready) {
    return rookery::fail(ErrorKind::expectation, fmt::format("{} is not ready (its stage is {})", plan_.name,
                                                             to_string(boot_.stage)));
  }
  return ask_now(std::move(what), std::move(events));
}

template <typename Asked>
Result<std::uint32_t> Node::ask_now(Asked what, ExecEvents events) {
  if (execs_.size() >= kExecsPerMachine) {
    return rookery::fail(ErrorKind::expectation, plan_.name + " runs too many commands already");
  }
  const std::uint32_t request = ++last_request_;
  what.request = request;
  ROOKERY_TRY(agent_->send(what));
  execs_.emplace(request, std::move(events));
  return request;
}

Result<std::uint32_t> Node::exec(const std::vector<std::string>& argv, ExecEvents events) {
  return ask(agent::Exec{0, argv}, std::move(events));
}

Result<std::uint32_t> Node::open(std::uint16_t port, const std::vector<std::string>& argv,
                                 ExecEvents events) {
  return ask(agent::Open{0, port, argv}, std::move(events));
}

Status Node::stream_input(std::uint32_t request, ByteView bytes) {
  return agent_->send(agent::Input{request, ByteBuffer(bytes.begin(), bytes.end())});
}

Status Node::stream_taken(std::uint32_t request, std::uint32_t bytes) {
  return agent_->send(agent::Taken{request, bytes});
}

Status Node::step_clock(Duration by) {
  const ExecEvents nobody_listens{[](agent::Stream, ByteView) {}, [](const Result<int>&) {}, {}};
  return ask(agent::StepClock{0, by}, nobody_listens).map([](std::uint32_t) {});
}

void Node::cancel_exec(std::uint32_t request) {
  if (execs_.erase(request) > 0 && agent_->in_session()) (void)agent_->send(agent::Kill{request});
}

Duration Node::silence() {
  if (!agent_ || !agent_->in_session()) return Duration{0};
  const Duration silence = agent_->silence();
  // No request has this number: nothing is killed, and the message is acknowledged.
  if (silence == Duration{0}) (void)agent_->send(agent::Kill{0});
  return silence;
}

void Node::end_execs(const std::string& why) {
  for (auto& [request, events] : std::exchange(execs_, {})) {
    events.exited(rookery::fail(ErrorKind::expectation, plan_.name + ": " + why));
  }
}

void Node::console_input(std::string_view bytes) {
  // The agent opens a shell on the console when somebody types there and there is none (it may have been
  // left).
  if (agent_ && boot_.stage == Stage::ready) (void)agent_->send(agent::OpenConsole{});
  machine_->console_input(bytes);
}

void Node::console_output(backends::Machine&, std::string_view bytes) {
  console_.append(bytes);
  events_.console_output(*this, bytes);
}

void Node::frame_passes(netsim::Direction direction, const netsim::Frame& frame) {
  if (boot_.settled()) return;
  const Stage before = boot_.stage;
  watch_.see(boot_, direction, frame, loop_.now(), cable_.number_in_capture());
  if (boot_.stage != before) events_.stage_changed(*this);
}

}  // namespace rookery::vboot
