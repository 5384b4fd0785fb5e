// Any text as a scenario file: it is refused by name, or makes a plan whose steps are for machines that the
// lab has, at times within its bounds.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/bytes.h"
#include "vboot/scenario/plan/scenario_plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  const auto refused = [](const Error& error) {
    if (error.kind != ErrorKind::usage || error.message.empty()) std::abort();
    return 0;
  };
  const auto scenario = vboot::parse_scenario(as_text({data, size}), "fuzz.yaml");
  if (!scenario) return refused(scenario.error());
  const auto* lab = std::get_if<vboot::Lab>(&scenario->lab);
  if (lab == nullptr) return 0;  // a path: nothing of the host is read here
  const auto plan = vboot::plan_scenario(*scenario, *lab, {});
  if (!plan) return refused(plan.error());
  for (const vboot::PlannedStep& step : plan->steps) {
    if (step.after < step.step.when.earliest || step.after > step.step.when.latest) std::abort();
    for (const std::uint32_t machine : step.machines) {
      if (machine >= plan->lab.machines.size()) std::abort();
    }
  }
  return 0;
}
