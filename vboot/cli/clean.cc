// `rookery clean`: removes what labs left whose supervisor was killed, and that its janitor could not remove.
#include <fmt/format.h>

#include <algorithm>

#include "vboot/cli/commands.h"
#include "vboot/cli/lab_client.h"

namespace rookery::vboot {

std::vector<std::string> clean_after(const LabPlan& plan) {
  const bool needed = std::any_of(plan.machines.begin(), plan.machines.end(),
                                  [](const MachinePlan& machine) { return machine.backend == "libvirt"; });
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!needed || error) return {};
  return {program.string(), "clean"};
}

Result<int> run_clean(bool json, const std::vector<Cleaner>& cleaners) {
  Json removed = Json::array();
  std::optional<Error> problem;
  for (const Cleaner& cleaner : cleaners) {
    const auto names = cleaner();
    if (!names) {
      problem = problem.value_or(names.error());
      continue;
    }
    for (const std::string& name : *names) {
      if (!json) fmt::print("removed {}\n", name);
      removed.add(Json::string(name));
    }
  }
  if (json) print_json(Json::object().set("removed", std::move(removed)));
  if (problem) return tl::unexpected<Error>(*problem);
  return 0;
}

}  // namespace rookery::vboot
