// What the commands that talk to a running lab share.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "vboot/cli/commands.h"
#include "vboot/control/client.h"

namespace rookery::vboot {

inline Result<ControlClient> connect(const LabChoice& choice) {
  if (choice.lab) return ControlClient::connect(std::string_view(*choice.lab));
  return ControlClient::connect(std::nullopt);
}

inline void print_json(const Json& value) {
  fmt::print("{}\n", value.dump());
  std::fflush(stdout);
}

}  // namespace rookery::vboot
