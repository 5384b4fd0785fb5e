#include "vboot/scenario/check_program.h"

#include <fmt/format.h>

#include "base/command.h"
#include "vboot/scenario/last_lines.h"

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
  // One that failed says why on standard error, and that it did on standard output, if at all: the ends of
  // both.
  std::string said = last_lines(done->output);
  const std::string complained = last_lines(done->errors);
  if (done->exit_code == 0 ? said.empty() : !complained.empty())
    said += (said.empty() ? "" : " / ") + complained;
  return Verdict{check.text, check.at.line, done->exit_code == 0,
                 fmt::format("exit code {}{}{}", done->exit_code, said.empty() ? "" : ": ", said)};
}

}  // namespace rookery::vboot
