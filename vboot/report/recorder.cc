#include "vboot/report/recorder.h"

#include "vboot/faults/fault.h"
#include "vboot/run/admission/memory_use.h"

namespace rookery::vboot {

Recorder::Recorder(EventLoop& loop, RunningLab& lab, Looks looks)
    : loop_(loop),
      lab_(lab),
      history_(lab.plan()),
      boot_server_(lab.find(lab.plan().boot_server().name)),
      memory_(lab.nodes().size()) {
  lab_.faults().listen(*this);
  // Not at once: the lab's own time begins when it starts.
  if (looks == Looks::between) timer_ = loop_.soon([this] { look_again(); });
}

Recorder::~Recorder() {
  loop_.cancel(timer_);
  lab_.faults().unlisten(*this);
}

void Recorder::stage_changed(const Node& node) {
  const BootRecord& boot = node.boot();
  const std::size_t machine = node.plan().index;
  if (boot.stage == Stage::failed) {
    history_.failure(machine, elapsed(), boot.failed_in, boot.reason);
  } else {
    history_.stage(machine, elapsed(), boot.stage);
  }
  if (boot.stage == Stage::off || boot.stage >= Stage::root) weigh(node);
  look_if_due();
}

void Recorder::stage_changed(const WireMachine& machine) {
  const auto [at, is_new] = physical_.try_emplace(machine.mac, 0);
  if (is_new) at->second = history_.add_physical(machine.mac.text());
  // With its first frame it is in several at once.
  for (const BootRecord::Reached& reached : machine.boot.chain) {
    if (reached.at == machine.boot.since)
      history_.stage(at->second, reached.at - lab_.started(), reached.stage);
  }
  look_if_due();
}

void Recorder::step(std::string_view text) {
  history_.step(elapsed(), text);
  look_if_due();
}

void Recorder::fault_began(const FaultSpec& fault) {
  FaultSpec unnamed = fault;  // its name is told beside it
  unnamed.name.clear();
  history_.fault_began(elapsed(), fault.name, to_text(unnamed));
}

void Recorder::fault_ended(const FaultSpec& fault, std::string_view why) {
  history_.fault_ended(elapsed(), fault.name, why);
}

void Recorder::weigh(const Node& node) {
  const auto processes = node.processes();
  Bytes& its = memory_[node.plan().index];
  memory_of_all_.count -= its.count;
  its = processes.empty() ? Bytes{} : shared_memory(processes.front());
  memory_of_all_.count += its.count;
}

void Recorder::look() {
  weigh(*lab_.nodes()[next_weighed_]);
  next_weighed_ = (next_weighed_ + 1) % memory_.size();
  const netsim::LinkCounters& sent = boot_server_->sent();
  history_.sample(elapsed(), sent.bytes, sent.frames, memory_of_all_);
}

void Recorder::look_if_due() {
  const auto& points = history_.bytes();
  if (elapsed() >= points.last_at() + points.spacing()) look();
}

void Recorder::look_again() {
  look();
  timer_ = loop_.after(history_.bytes().spacing(), [this] { look_again(); });
}

}  // namespace rookery::vboot
