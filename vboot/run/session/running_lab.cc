#include "vboot/run/session/running_lab.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/random.h"
#include "vboot/faults/kind.h"
#include "vboot/lab/words.h"
#include "vboot/run/session/lab_why.h"

namespace rookery::vboot {
namespace {

// The same for every machine, byte for byte: nothing of a machine's own is given from outside.
// nbd.nbds_max: one NBD device instead of sixteen, each of which has a kernel thread.
// aoe.aoe_iflist: ATA over Ethernet on no interface until somebody names one; otherwise each machine asks all
// others for disks once a minute, which of a thousand idle machines keeps half a processor busy.
constexpr const char* kCommandLine = "quiet panic=-1 nbd.nbds_max=1 aoe.aoe_iflist=none";

netsim::SwitchRules switch_rules(std::uint64_t seed) {
  netsim::SwitchRules rules;
  rules.table.hash_seed = Random(seed, "switch/table").next();
  rules.addresses.hash_seed = Random(seed, "switch/addresses").next();
  return rules;
}

}  // namespace

RunningLab::RunningLab(EventLoop& loop, LabSetup setup)
    : loop_(loop), setup_(std::move(setup)), network_(loop, setup_.plan, switch_rules(setup_.plan.seed)) {
  if (setup_.booting_at_once > 0) return;
  // In lockstep the host must not show; otherwise each processor has enough to do while guests wait for one
  // another.
  constexpr unsigned kInLockstep = 8, kPerProcessor = 4;
  setup_.booting_at_once =
      loop.lockstep() ? kInLockstep : kPerProcessor * std::max(1u, std::thread::hardware_concurrency());
  emulated_counts_ = 2;
}

Result<std::int64_t> clock_at_start(const LabPlan& plan, const ImageFacts& image) {
  const std::int64_t created = std::clamp(image.created, std::int64_t{0}, kLatestClock);
  if (!plan.clock) return created;
  if (*plan.clock >= created) return *plan.clock;
  return rookery::fail(
      ErrorKind::usage,
      at_place(plan.filename, plan.clock_at,
               fmt::format("the clock cannot begin at {}: the image {} is of {}, and its files would be of "
                           "the future; take that time or a later one, or leave 'clock' out",
                           clock_text(*plan.clock), plan.image, clock_text(created))));
}

RunningLab::~RunningLab() {
  faults_.reset();
  cut_all();
  loop_.cancel(admission_);
  nodes_.clear();
}

Result<std::unique_ptr<RunningLab>> RunningLab::make(EventLoop& loop, LabSetup setup,
                                                     const BackendOf& backend_of,
                                                     netsim::FrameWatcher* watcher) {
  const auto clock = clock_at_start(setup.plan, setup.image);
  if (!clock) return tl::unexpected<Error>(clock.error());
  std::unique_ptr<RunningLab> lab(new RunningLab(loop, std::move(setup)));
  auto medium = disks::ReadOnlyFile::open(lab->setup_.medium);
  if (!medium) return tl::unexpected<Error>(medium.error());
  lab->medium_ = std::move(*medium);
  GiftMaker own_gifts(lab->setup_.plan);
  GiftMaker& gifts = lab->setup_.gifts != nullptr ? *lab->setup_.gifts : own_gifts;
  for (const MachinePlan& plan : lab->setup_.plan.machines) {
    auto backend = backend_of(plan);
    if (!backend)
      return tl::unexpected<Error>(std::move(backend.error()).while_doing("machine '" + plan.name + "'"));
    const bool from_medium = plan.boot == BootSource::medium;
    NodeSetup node;
    node.folder = lab->setup_.folder / "m" / plan.name;
    node.memory_folder = lab->setup_.memory_folder;
    if (backends::is_given_a_kernel(plan.hardware.chipset))
      node.boot = from_medium ? lab->setup_.microvm_server : lab->setup_.microvm;
    else
      node.boot = from_medium ? lab->setup_.boot_server : lab->setup_.client;
    if (node.boot.kernel.empty())
      return rookery::fail(ErrorKind::usage, "machine '" + plan.name +
                                                 "': the image has no kernel for machines without firmware");
    node.medium = from_medium ? lab->medium_.get() : nullptr;
    node.medium_file = lab->setup_.medium;
    node.command_line = kCommandLine;
    node.clock = std::chrono::seconds(*clock);
    node.seed = Random(lab->setup_.plan.seed, "machine/" + plan.name).next();
    node.watcher = watcher;
    node.vlans = LabNetwork::vlans_of(lab->setup_.plan, plan);
    auto role = role_files(lab->setup_.plan, plan, lab->setup_.image);
    if (!role) return tl::unexpected<Error>(role.error());
    node.role = std::move(*role);
    auto gift = gifts.of(plan);
    if (!gift) return tl::unexpected<Error>(gift.error());
    node.gift = std::move(*gift);
    auto made = Node::make(loop, plan, std::move(node), **backend, lab->network_.switch_of(plan), *lab);
    if (!made)
      return tl::unexpected<Error>(std::move(made.error()).while_doing("machine '" + plan.name + "'"));
    lab->nodes_.push_back(std::move(*made));
    Node* added = lab->nodes_.back().get();
    if (serves_boot(plan.roles)) {
      lab->boot_server_ = added;
    } else {
      lab->waiting_.push_back(added);
      lab->unsettled_.insert(added);
    }
  }
  std::stable_sort(lab->waiting_.begin(), lab->waiting_.end(),
                   [](const Node* one, const Node* other) { return one->plan().turn < other->plan().turn; });
  std::reverse(lab->waiting_.begin(), lab->waiting_.end());
  const LabPlan& plan = lab->setup_.plan;
  if (plan.uplink) {
    lab->uplink_ = std::make_unique<Uplink>(loop, plan, std::move(lab->setup_.uplink),
                                            lab->network_.switch_of(*plan.uplink),
                                            [raw = lab.get()](const WireMachine& machine) {
                                              if (raw->events_ != nullptr)
                                                raw->events_->wire_stage_changed(machine);
                                            });
  }
  lab->faults_ = std::make_unique<FaultBoard>(
      loop, plan.seed, reach_of(plan, lab->network_, lab->nodes_, lab->uplink_.get(), lab->node_faults_));
  return lab;
}

Status RunningLab::start() {
  started_ = loop_.now();
  return boot_server_->power_on();
}

Node* RunningLab::find(std::string_view name) {
  for (const auto& node : nodes_) {
    if (node->plan().name == name) return node.get();
  }
  return nullptr;
}

bool RunningLab::waits(const Node& node) const {
  return std::find(waiting_.begin(), waiting_.end(), &node) != waiting_.end();
}

void RunningLab::stage_changed(Node& node) {
  const Stage stage = node.boot().stage;
  if (stage == Stage::failed) node.explained(why_of(*this, node, loop_.now()));
  if (stage == Stage::firmware) faults_->machine_came_up(node.plan().index);
  if (&node == boot_server_) {
    // Without its boot server no client can come up: each of them ends here, and says why.
    if (stage == Stage::failed && !settled_) {
      for (Node* client : waiting_) unsettled_.erase(client);
      waiting_.clear();
    }
  } else if (node.boot().settled()) {
    booting_.erase(&node);
    if (stage != Stage::off) unsettled_.erase(&node);
  } else if (std::erase(waiting_, &node) > 0) {
    booting_.insert(&node);  // somebody has switched it on before its turn
  }
  if (stage != Stage::off) cut_.erase(&node);
  if (events_ != nullptr) events_->stage_changed(node);
  admit_soon();
}

// It is to be off, whoever's turn it is, until somebody switches it on.
void RunningLab::power_cut(Node& node) {
  cut_.insert(&node);
  std::erase(waiting_, &node);
  admit_soon();
}

void RunningLab::admit_soon() {
  if (admission_ || over_) return;
  admission_ = loop_.soon([this] {
    admission_ = {};
    admit();
    settle_if_done();
  });
}

// A power cut that ends switches it on again.
bool RunningLab::stays_off(const Node& node) const {
  if (cut_.count(&node) == 0 || node.boot().stage != Stage::off) return false;
  for (const FaultState& fault : faults_->in_force()) {
    if (fault.spec->time && hinders(*fault.spec, Hinders::power, node.plan().name)) return false;
  }
  return true;
}

std::vector<const Node*> RunningLab::awaited() const {
  std::vector<const Node*> awaited;
  for (const auto& node : nodes_) {
    if (unsettled_.count(node.get()) != 0 && !stays_off(*node)) awaited.push_back(node.get());
  }
  return awaited;
}

std::string RunningLab::what_is_missing(const Node& node) {
  Why why = why_of_this_boot(*this, node, loop_.now());
  return why.cause == Cause::booting ? std::string() : std::move(why.sentence);
}

// One machine a turn, so that machines in lockstep start one after another, each at an instant of its own.
void RunningLab::admit() {
  if (boot_server_->boot().stage != Stage::ready || waiting_.empty()) return;
  Node* next = waiting_.back();
  // An emulated machine keeps a processor busy also while it waits: firmware polls. (Eight on two processors
  // take a quarter more processor time each than two.)
  const auto counts = [this](const Node* one) { return one->slowness().empty() ? 1 : emulated_counts_; };
  unsigned busy = counts(next);
  for (const Node* one : booting_) busy += counts(one);
  if (!booting_.empty() && busy > setup_.booting_at_once) return;
  // What a machine needs of others is there when it starts: those of lower turns are ready, or have failed.
  const auto earlier = [next](const Node* other) { return other->plan().turn < next->plan().turn; };
  if (next->plan().turn > 0 && std::any_of(unsettled_.begin(), unsettled_.end(), earlier)) return;
  waiting_.pop_back();
  if (setup_.hindrance) {
    if (const auto why = setup_.hindrance(next->plan())) return next->could_not_start(*why);
  }
  booting_.insert(next);
  if (const auto started = next->power_on(); !started) next->could_not_start(started.error().message);
}

void RunningLab::settle_if_done() {
  if (settled_ || !waiting_.empty() || !awaited().empty()) return;
  settled_ = true;
  settled_at_ = loop_.now();
  if (events_ != nullptr) events_->settled();
}

BootSummary RunningLab::summary() const {
  BootSummary summary;
  for (const auto& node : nodes_) {
    const BootRecord& boot = node->boot();
    if (node.get() != boot_server_) {
      ++summary.clients;
      if (boot.arrived()) ++summary.ready;
    }
    if (boot.stage == Stage::failed)
      summary.failed.push_back({node->plan().name, boot.failed_in, boot.reason});
    if (node.get() != boot_server_ && boot_server_->boot().stage == Stage::failed &&
        boot.stage == Stage::off) {
      summary.failed.push_back({node->plan().name, Stage::off, "not started: the boot server failed"});
    } else if (unsettled_.count(node.get()) != 0 && stays_off(*node)) {
      summary.failed.push_back({node->plan().name, Stage::off, "switched off before it was ready"});
    }
  }
  summary.time_to_ready = (settled_ ? settled_at_ : loop_.now()) - started_;
  summary.boot_server_bytes = boot_server_->sent().bytes;
  return summary;
}

void RunningLab::cut_all() {
  over_ = true;
  waiting_.clear();
  for (const auto& node : nodes_) (void)node->power(backends::PowerAction::cut);
}

}  // namespace rookery::vboot
