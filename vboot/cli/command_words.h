// The program's words from their one source, the parser that also writes --help: completion for shells, and
// the manual page. Pure texts.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace rookery::vboot {

// The command line with what may stand before the command (--lab NAME, --json) at its end.
std::vector<std::string> options_behind(std::vector<std::string> words);
// Why the command line is not understood, with the nearest right word; `said` is the parser's own complaint.
std::string complaint(const CLI::App& app, const std::string& said);
std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string man_page(const CLI::App& app, const std::string& version);

}  // namespace rookery::vboot
