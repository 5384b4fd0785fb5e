// What the commands that talk to a running lab share.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "base/printable.h"
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

// For people, on standard output; what machines said in it is made printable.
template <typename... Values>
void print_words(fmt::format_string<Values...> form, Values&&... values) {
  const std::string text = printable_lines(fmt::format(form, std::forward<Values>(values)...));
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace rookery::vboot
