// A check of a scenario's own: a program of this host that is given the run's report on its standard input
// and says by its exit code whether it holds. It runs when the run is over, so that nothing of it can reach
// the run.
#pragma once

#include <string>

#include "base/result.h"
#include "vboot/scenario/judge.h"
#include "vboot/scenario/plan/scenario_plan.h"

namespace rookery::vboot {

// An Error if the program could not be run at all. It is looked for beside the scenario's file.
Result<Verdict> run_check(const Expectation& check, const std::string& scenario_file,
                          const std::string& report);

}  // namespace rookery::vboot
