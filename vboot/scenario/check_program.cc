#include "vboot/scenario/check_program.h"

#include <fmt/format.h>

#include "base/command.h"

namespace rookery::vboot {

Result<Verdict> run_check(const Expectation& check, const std::string& scenario_file,
                          const std::string& report) {
  std::error_code error;
  const auto program =
      std::filesystem::absolute(std::filesystem::path(scenario_file), error).parent_path() / check.program;
  Command command;
  command.argv = {program.string()};
  command.input = report;
  const auto done = run_command(command);
  if (!done) {
    return fail(ErrorKind::usage,
                at_place(scenario_file, check.at, "the check cannot be run: " + done.error().message));
  }
  std::string said = done->output.empty() ? done->errors : done->output;
  while (!said.empty() && said.back() == '\n') said.pop_back();
  return Verdict{
      check.text, check.at.line, done->exit_code == 0,
      fmt::format("exit code {}{}{}", done->exit_code, said.empty() ? "" : ": ", said.substr(0, 500))};
}

}  // namespace rookery::vboot
