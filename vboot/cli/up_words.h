// What `up` says when its lab is up, and how it is done again.
#pragma once

#include <string>

#include "base/json/json.h"
#include "vboot/cli/commands.h"

namespace rookery::vboot {

// Of the report of a lab that is up: words, or JSON; with the end of its last line.
std::string summary_of(const Json& report, const UpOptions& options);
std::string replay_command(const UpOptions& options);

}  // namespace rookery::vboot
