// What the program says of its own work beside its results: warnings, and more where the user wants it
// (ROOKERY_LOG=debug). By spdlog, on standard error, never on standard output.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rookery::vboot {

// The words that ROOKERY_LOG knows: debug, info, warn (as it is without), error, off.
Status set_log_level(std::string_view word);

// Where the lines of the log go, from any thread: to standard error, unless somebody who has that screen
// takes them.
using LogLine = std::function<void(std::string_view)>;
void log_to_standard_error();
void log_to(LogLine take);

}  // namespace rookery::vboot
