// What of a schedule cannot happen, as far as that can be known before the run. Pure.
#pragma once

#include "vboot/lab/problems.h"
#include "vboot/scenario/plan/scenario_plan.h"

namespace rookery::vboot {

// Notes each: steps behind the end, events that nothing brings about or that wait for one another, steps
// within a quiet time, names that are given twice, expectations about what there is none of.
void check_schedule(const ScenarioPlan& plan, Problems& problems);

}  // namespace rookery::vboot
