// A scenario with all that its files say, each read once: `verify` runs it again and again, and a file may be
// a pipe, or be edited meanwhile.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json/json.h"
#include "vboot/cli/commands.h"
#include "vboot/cli/progress.h"
#include "vboot/run/machine/gift.h"
#include "vboot/scenario/plan/scenario_plan.h"

namespace rookery::vboot {

struct ReadScenario {
  ScenarioPlan plan;
  std::vector<std::pair<std::string, std::string>> files;  // scenario and lab: name and text, for reports
  std::unique_ptr<GiftMaker> gifts;                        // all made
};
Result<std::unique_ptr<ReadScenario>> read_scenario(const RunOptions& options);

// One run, from the first folder to the last: what `run --json` prints. An Error if it came to no verdict.
Result<Json> run_once(const RunOptions& options, ReadScenario& scenario, const BackendFactory& backends,
                      Progress& progress);

}  // namespace rookery::vboot
