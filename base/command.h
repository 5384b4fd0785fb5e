// Runs another program to its end and gives back what it said: for building images and kernels, where waiting
// is what is wanted. Machines are ChildProcess (base/process.h) on the event loop.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace rookery {

struct Command {
  std::vector<std::string> argv;                     // argv[0] is looked up in PATH
  std::filesystem::path folder;                      // working folder; empty: ours
  std::map<std::string, std::string> environment{};  // added to ours
  std::string input{};                               // standard input
  // Called with each whole line of standard error (and of standard output if `lines_from_output`), for
  // progress; what is longer than 64 KiB is none.
  std::function<void(std::string_view)> on_line{};
  bool lines_from_output = false;
  // When this descriptor can be read, the command and all that it has started are asked to end (SIGTERM;
  // SIGKILL half a minute later). With one it has a process group of its own: a terminal's Ctrl-C is for who
  // started it.
  int stop = -1;
};

struct CommandOutput {
  int exit_code = 0;   // 128 + N for a death by signal N, as shells do
  std::string output;  // standard output, at most 64 MiB
  std::string errors;  // the end of standard error, at most 64 KiB
};

// Runs it and waits. An Error only if it could not be run at all; the child dies if we do. May be called from
// several threads at once.
Result<CommandOutput> run_command(const Command& command);
// The same, and a non-zero exit is an Error with the last lines of standard error.
Result<CommandOutput> run_checked(const Command& command);
// Where PATH finds a program, or an Error that names the Debian package to install.
Result<std::filesystem::path> find_program(std::string_view name, std::string_view debian_package);

}  // namespace rookery
