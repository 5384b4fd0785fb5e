#include "vboot/run/session/lab_faults.h"

#include <fmt/format.h>

#include <algorithm>

namespace rookery::vboot {

Node& NodeFaults::node(std::string_view machine) const {
  const auto found = std::find_if(nodes_.begin(), nodes_.end(),
                                  [&](const auto& one) { return one->plan().name == machine; });
  if (found == nodes_.end()) bug("a fault of a machine that is not in the plan");
  return **found;
}

Result<backends::Pausing*> NodeFaults::pausing(std::string_view machine, std::string_view deed) const {
  if (backends::Pausing* pausing = node(machine).machine().pausing()) return pausing;
  return fail(ErrorKind::usage, fmt::format("fault: {} cannot be {}: its backend, {}, does not know how",
                                            machine, deed, node(machine).plan().backend));
}

Status NodeFaults::power_cut(std::string_view machine) {
  return node(machine).power(backends::PowerAction::cut);
}

// One that somebody has switched on again meanwhile is on.
Status NodeFaults::power_on(std::string_view machine) {
  Node& one = node(machine);
  if (one.is_on()) return {};
  Status on = one.power_on();
  if (!on) one.could_not_start(on.error().message);
  return on;
}

Status NodeFaults::reset(std::string_view machine) {
  return node(machine).power(backends::PowerAction::reset);
}

// One that is off stands still, and will be frozen when it starts.
Status NodeFaults::freeze(std::string_view machine, Action frozen) {
  const auto one = pausing(machine, "frozen");
  if (!one) return tl::unexpected<Error>(one.error());
  if (node(machine).is_on()) return (*one)->freeze(std::move(frozen));
  ROOKERY_TRY((*one)->freeze([] {}));
  frozen();
  return {};
}

Status NodeFaults::thaw(std::string_view machine) {
  return pausing(machine, "thawed").and_then([](backends::Pausing* one) { return one->thaw(); });
}

Status NodeFaults::slow(std::string_view machine, Duration gap) {
  return pausing(machine, "slowed").and_then([gap](backends::Pausing* one) { return one->slow(gap); });
}

Status NodeFaults::step_clock(std::string_view machine, Duration by) {
  return node(machine).step_clock(by);
}

FaultReach reach_of(const LabPlan& plan, LabNetwork& network, const std::vector<std::unique_ptr<Node>>& nodes,
                    Uplink* uplink, MachineFaults& deeds) {
  FaultReach reach;
  for (const auto& node : nodes) {
    reach.cables.push_back(node->cable());
    reach.machines.push_back(node->plan().name);
  }
  for (Cable& trunk : network.trunks()) reach.cables.push_back(std::move(trunk));
  if (uplink != nullptr) reach.cables.push_back(uplink->cable());
  for (const SwitchSpec& spec : plan.switches) reach.switches.push_back(spec.name);
  reach.restart_switch = [&network](std::size_t index) { network.restart(index); };
  reach.address_of = [&plan](std::string_view name) -> std::optional<std::string> {
    const MachinePlan* machine = plan.find(name);
    if (machine == nullptr) return std::nullopt;
    return to_text(machine->address);
  };
  reach.deeds = &deeds;
  return reach;
}

namespace {

void set(FaultBoard& board, const FaultRequest& request, const std::function<void(Result<Json>)>& tell) {
  auto spec = parse_fault(request.words);
  if (!spec) return tell(tl::unexpected<Error>(spec.error()));
  const Status done =
      board.set(*spec, [tell, told = Json::object().set("fault", to_json(*spec))] { tell(told); });
  if (!done) tell(tl::unexpected<Error>(done.error()));
}

Result<Json> clear(FaultBoard& board, const FaultRequest& request) {
  std::size_t cleared = 0;
  for (const std::string& what : request.words) {
    const auto count = board.clear(what);
    if (!count) return tl::unexpected<Error>(count.error());
    cleared += *count;
  }
  return Json::object().set("cleared", Json::count(cleared));
}

Json show(const FaultBoard& board) {
  Json faults = Json::array();
  for (const FaultState& state : board.in_force()) {
    faults.add(to_json(*state.spec)
                   .set("text", to_text(*state.spec))
                   .set("began_s", Json::number(seconds(state.began)))
                   .set("seen", Json::count(state.frames.seen))
                   .set("hit", Json::count(state.frames.hit)));
  }
  return Json::object().set("faults", std::move(faults));
}

}  // namespace

void answer(FaultBoard& board, const FaultRequest& request, const std::function<void(Result<Json>)>& tell) {
  switch (request.action) {
    case FaultAction::set:
      return set(board, request, tell);
    case FaultAction::clear:
      return tell(clear(board, request));
    case FaultAction::show:
      return tell(show(board));
  }
}

}  // namespace rookery::vboot
