// The sentences of a scenario: whom, what is so, what is waited for. Pure; errors are of kind usage and say
// what was expected, without a place.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "vboot/scenario/plan/scenario.h"

namespace rookery::vboot {

// "clients", "boot-server", "everything", names and patterns between spaces or commas; "ready" and "N of"
// before it.
Result<Selection> parse_selection(std::string_view text);
// "[all | any | no | at least N | at most N] [of] [SELECTION] STAGE [or STATE]…"; whom is left out: the
// clients.
Result<Condition> parse_condition(std::string_view text, Place at);
// A condition, "fault NAME began", "fault NAME ended" or "program NAME ended".
Result<Event> parse_event(std::string_view text, Place at);

}  // namespace rookery::vboot
