#include "vboot/run/session/report.h"

#include "base/confinement.h"
#include "base/digest.h"

namespace rookery::vboot {
namespace {

Json booted(const RunFacts& facts) {
  Json kernels = Json::object();
  for (const auto& kernel : facts.image.kernels) kernels.set(kernel.component, kernel.version);
  Json components = Json::object();
  for (const auto& component : facts.image.components)
    components.set(component.name, to_hex(component.sha256));
  return Json::object()
      .set("rookery", facts.version)
      .set("image", facts.image.name)
      .set("image_version", facts.image.version)
      .set("distribution", facts.image.distribution.id + " " + facts.image.distribution.version)
      .set("kernels", std::move(kernels))
      .set("image_sha256", to_hex(facts.image_digest))
      .set("components_sha256", std::move(components));
}

// Of which something was refused or given up.
Json refused_machines(const RunningLab& lab) {
  Json machines = Json::array();
  for (const auto& node : lab.nodes()) {
    if (node->refusals().empty() && node->given_up().empty()) continue;
    Json machine = Json::object().set("name", node->plan().name);
    add_refusals(machine, *node);
    machines.add(std::move(machine));
  }
  return machines;
}

}  // namespace

Json wire_machines(const RunningLab& lab, Time now) {
  Json machines = Json::array();
  if (lab.uplink() == nullptr) return machines;
  for (const auto& machine : lab.uplink()->machines().in_order()) {
    const BootRecord& boot = machine->boot;
    Json one = Json::object()
                   .set("name", machine->mac.text())
                   .set("role", "client")
                   .set("backend", "wire")
                   .set("state", "seen")  // whether it is on, nobody here knows
                   .set("stage", to_string(boot.stage))
                   .set("seconds_in_stage", Json::number(seconds(now - boot.since)))
                   .set("boots", Json::count(machine->boots))
                   .set("address", machine->address.is_zero() ? "" : machine->address.text())
                   .set("mac", machine->mac.text());
    if (!boot.detail.empty()) one.set("detail", boot.detail);
    machines.add(std::move(one));
  }
  return machines;
}

Json failed_machines(const BootSummary& summary) {
  Json failed = Json::array();
  for (const FailedMachine& machine : summary.failed) {
    failed.add(Json::object()
                   .set("name", machine.name)
                   .set("stage", to_string(machine.stage))
                   .set("reason", machine.reason));
  }
  return failed;
}

Json up_report(const RunningLab& lab, const RunFacts& facts, Bytes memory_peak) {
  const BootSummary summary = lab.summary();
  return Json::object()
      .set("lab", lab.plan().name)
      .set("machines", Json::count(lab.nodes().size()))
      .set("clients", Json::count(summary.clients))
      .set("ready", Json::count(summary.ready))
      .set("failed", failed_machines(summary))
      .set("seconds", Json::number(seconds(summary.time_to_ready)))
      .set("memory_peak_bytes", Json::count(memory_peak.count))
      .set("boot_server_bytes", Json::count(summary.boot_server_bytes))
      .set("seed", Json::count(lab.plan().seed))
      .set("grade", facts.grade)
      .set("refused", refused_machines(lab))
      .set("frame_pool", frame_pool())
      .set("booted", booted(facts));
}

Json ps_report(const RunningLab& lab, const RunFacts& facts, pid_t supervisor, Time now) {
  Json machines = Json::array();
  const auto ways = lab.faults().in_the_way();
  for (const auto& node : lab.nodes()) {
    const MachinePlan& plan = node->plan();
    const BootRecord& boot = node->boot();
    Json machine = Json::object()
                       .set("name", plan.name)
                       .set("role", roles_in_words(plan.roles))
                       .set("backend", plan.backend)
                       .set("state", backends::to_string(node->state()))
                       .set("stage", to_string(boot.stage))
                       .set("seconds_in_stage", Json::number(seconds(now - boot.since)))
                       .set("address", to_text(plan.address))
                       .set("mac", netsim::MacAddress::from_bytes(plan.data_mac)->text());
    if (boot.stage == Stage::failed) {
      machine.set("failed_in", to_string(boot.failed_in));
      machine.set("reason", boot.reason);
    } else if (!boot.detail.empty()) {
      machine.set("detail", boot.detail);
    }
    if (plan.index < ways.size() && !ways[plan.index].empty())
      machine.set("in_the_way", Json::strings(ways[plan.index]));
    if (node->gift() != nullptr) machine.set("given_sha256", node->gift()->sha256);
    add_refusals(machine, *node);
    machines.add(std::move(machine));
  }
  const BootSummary summary = lab.summary();
  Json report = Json::object()
                    .set("lab", lab.plan().name)
                    .set("supervisor_pid", Json::integer(supervisor))
                    .set("seed", Json::count(lab.plan().seed))
                    .set("image", facts.image.name)
                    .set("up_seconds", Json::number(seconds(now - lab.started())))
                    .set("clients", Json::count(summary.clients))
                    .set("ready", Json::count(summary.ready))
                    .set("confinement", Json::object()
                                            .set("whole", Json::boolean(host_walls().whole()))
                                            .set("text", host_walls().describe()))
                    .set("frame_pool", frame_pool())
                    .set("machines", std::move(machines));
  if (lab.uplink() == nullptr) return report;
  const UplinkPlan& uplink = lab.uplink()->plan();
  Json its = Json::object()
                 .set("interface", uplink.interface)
                 .set("mode", uplink.proxy ? "proxy" : "dhcp")
                 .set("machines", wire_machines(lab, now));
  if (const Status link = lab.uplink()->link(); !link) its.set("problem", link.error().message);
  if (!lab.uplink()->other_server().empty()) its.set("other_dhcp_server", lab.uplink()->other_server());
  report.set("uplink", std::move(its));
  return report;
}

}  // namespace rookery::vboot
