// The words of the command line: which commands there are, which options each of them takes, and what is done
// then. The manual page, the completions and --help are made of these.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "vboot/cli/commands.h"

namespace CLI {
class App;
}

namespace rookery::vboot {

// What the command line chose to be done; the exit code.
using Deed = std::function<Result<int>()>;

// Each adds its commands; parsing then sets `deed`, which outlives the parser.
void add_up(CLI::App& app, Deed& deed, const BackendFactory& make_backend);
void add_scenarios(CLI::App& app, Deed& deed, const BackendFactory& make_backend);  // run, verify
// Commands to a running lab. `program` is what stands behind "--" on the command line.
void add_clients(CLI::App& app, Deed& deed, const std::vector<std::string>& program);
void add_images(CLI::App& app, Deed& deed);

}  // namespace rookery::vboot
