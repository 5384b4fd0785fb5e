#include "vboot/cli/command_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {
namespace {

// Of a running lab, by the program itself.
constexpr const char* kMachines = "$(rookery ps \"${lab[@]}\" 2>/dev/null | tail -n +2 | cut -d' ' -f1)";
// The words so far, in both shells: which lab is meant, and which command (`at`) they are.
constexpr const char* kReadWords =
    "    if [[ $before = --lab ]]; then lab=(--lab \"$word\"); fi\n"
    "    before=$word\n"
    "    case \"$at $word\" in\n";

struct Choice {
  std::string word, text;
};
struct Command {
  std::string path;  // "fault set"; empty: the program
  std::string text;
  std::vector<Choice> commands, options;
  bool takes_machines = false;
};

bool is_of_machines(const CLI::Option& option) {
  return option.get_positional() && option.get_name().starts_with("machine");
}

void collect(const CLI::App& app, const std::string& path, std::vector<Command>& commands) {
  Command command{path, app.get_description(), {}, {}, false};
  const auto below = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* one : below) command.commands.push_back({one->get_name(), one->get_description()});
  for (const CLI::Option* option : app.get_options()) {
    command.takes_machines |= is_of_machines(*option);
    for (const std::string& name : option->get_lnames())
      command.options.push_back({"--" + name, option->get_description()});
  }
  commands.push_back(std::move(command));
  for (const CLI::App* one : below)
    collect(*one, path.empty() ? one->get_name() : path + " " + one->get_name(), commands);
}

std::vector<Command> commands_of(const CLI::App& app) {
  std::vector<Command> commands;
  collect(app, "", commands);
  return commands;
}

// The case that finds out which command the words so far are.
std::string path_cases(const std::vector<Command>& commands) {
  std::string text;
  for (const Command& one : commands) {
    if (one.path.empty()) continue;
    const std::size_t last = one.path.rfind(' ');
    const std::string before = last == std::string::npos ? "" : one.path.substr(0, last);
    const std::string word = one.path.substr(last == std::string::npos ? 0 : last + 1);
    text += fmt::format("      \"{} {}\") at=\"{}\" ;;\n", before, word, one.path);
  }
  return text;
}

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// groff_man(7): a dot or quote at the start of a line, and each backslash and hyphen, mean something.
std::string troff(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string option_words(const CLI::Option& option) {
  std::string words;
  for (const std::string& name : option.get_snames()) words += fmt::format("\\fB\\-{}\\fR, ", troff(name));
  for (const std::string& name : option.get_lnames()) words += fmt::format("\\fB\\-\\-{}\\fR, ", troff(name));
  words.resize(words.size() - std::min<std::size_t>(words.size(), 2));
  if (words.empty()) return fmt::format("\\fI{}\\fR", troff(option.get_name()));
  return option.get_expected_min() > 0 ? words + " \\fIVALUE\\fR" : words;
}

std::string synopsis(const CLI::App& app, const std::string& path) {
  std::string text = fmt::format("\\fBrookery {}\\fR", troff(path));
  bool options = false;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) {
      options = true;
      continue;
    }
    const bool several = option->get_expected_max() > 1;
    const std::string name = fmt::format("\\fI{}\\fR{}", troff(option->get_name()), several ? "..." : "");
    text += option->get_required() ? " " + name : " [" + name + "]";
  }
  return options ? text + " [options]" : text;
}

void describe(const CLI::App& app, const std::string& path, std::string& text) {
  const auto below = app.get_subcommands([](const CLI::App*) { return true; });
  if (!path.empty()) {
    text += fmt::format(".SS {}\n{}\n", synopsis(app, path), ".PP\n" + troff(app.get_description()) + ".");
    for (const CLI::Option* option : app.get_options()) {
      if (option->get_name() == "--help") continue;
      text += fmt::format(".TP\n{}\n{}\n", option_words(*option), troff(option->get_description()));
    }
  }
  for (const CLI::App* one : below)
    describe(*one, path.empty() ? one->get_name() : path + " " + one->get_name(), text);
}

bool is_of_a_command(const CLI::App& app, const std::string& option) {
  const auto below = app.get_subcommands([](const CLI::App*) { return true; });
  return std::any_of(below.begin(), below.end(), [&](const CLI::App* one) {
    return one->get_option_no_throw(option) != nullptr || is_of_a_command(*one, option);
  });
}

// The words of one kind that are near, or all of them.
std::string suggested(const std::string& word, const std::vector<Choice>& choices, std::string_view what) {
  std::vector<std::string_view> words;
  for (const Choice& choice : choices) words.emplace_back(choice.word);
  return suggestion(word, words, what);
}

}  // namespace

// What is said of a lab may stand before the command, as other programs have it.
std::vector<std::string> options_behind(std::vector<std::string> words) {
  std::size_t taken = 0;
  while (taken < words.size()) {
    const std::string& word = words[taken];
    if (word == "--json" || word.starts_with("--lab=")) {
      ++taken;
    } else if (word == "--lab" && taken + 1 < words.size()) {
      taken += 2;
    } else {
      break;
    }
  }
  // Without a command behind them there is none to hand them to.
  if (taken < words.size() && !words[taken].starts_with("-"))
    std::rotate(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(taken), words.end());
  return words;
}

std::string complaint(const CLI::App& app, const std::string& said) {
  const CLI::App* at = &app;
  std::string path;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    path += " " + at->get_name();
  }
  std::vector<Command> commands;
  collect(*at, path, commands);
  const std::vector<std::string> extra = app.remaining(true);
  const std::string help = fmt::format("; see rookery{} --help", path);
  if (extra.empty()) return (path.empty() ? "" : path.substr(1) + ": ") + said + help;
  if (extra.front().starts_with("-")) {
    const std::string option = extra.front().substr(0, extra.front().find('='));
    const std::vector<std::string> before = app.remaining(false);
    if (!before.empty() && before.front() == extra.front() && is_of_a_command(app, option))
      return fmt::format("the option '{}' stands behind its command: rookery{} {} …", option,
                         path.empty() ? " up lab.yaml" : path, option);
    return fmt::format("{}there is no option '{}'{}", path.empty() ? "" : path.substr(1) + ": ",
                       extra.front(), suggested(extra.front(), commands.front().options, "options"));
  }
  if (!commands.front().commands.empty()) {
    return fmt::format("there is no command '{}{}'{}", path.empty() ? "" : path.substr(1) + " ",
                       extra.front(), suggested(extra.front(), commands.front().commands, "commands"));
  }
  return fmt::format("{}: '{}' is not expected{}", path.substr(1), extra.front(), help);
}

// Options are offered to who begins one; where there is nothing to offer, files are.
std::string bash_completion(const CLI::App& app) {
  const auto commands = commands_of(app);
  std::string cases;
  for (const Command& one : commands) {
    std::string words, options;
    for (const Choice& choice : one.commands) words += choice.word + " ";
    for (const Choice& choice : one.options) options += choice.word + " ";
    cases += fmt::format("    \"{}\") words=\"{}{}\" options=\"{}\" ;;\n", one.path, words,
                         one.takes_machines ? kMachines : "", options);
  }
  return fmt::format(
      "# Completion of rookery for bash: source <(rookery completion bash)\n"
      "_rookery() {{\n"
      "  local at= word before= words= options= lab=()\n"
      "  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n"
      "{}{}    esac\n"
      "  done\n"
      "  case \"$at\" in\n{}  esac\n"
      "  if [[ ${{COMP_WORDS[COMP_CWORD]}} = -* ]]; then words=$options; fi\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n"
      "}}\n"
      "complete -o default -F _rookery rookery\n",
      kReadWords, path_cases(commands), cases);
}

std::string zsh_completion(const CLI::App& app) {
  const auto commands = commands_of(app);
  std::string cases;
  const auto described = [](const std::vector<Choice>& choices) {
    std::string words;
    for (const Choice& choice : choices) words += " " + in_quotes(choice.word + ":" + choice.text);
    return words;
  };
  for (const Command& one : commands) {
    cases += fmt::format("    \"{}\") choices=({}{}) options=({}) ;;\n", one.path, described(one.commands),
                         one.takes_machines ? fmt::format(" ${{(f)\"{}\"}}", kMachines) : "",
                         described(one.options));
  }
  // The file is read when the first word is to be completed, as if it were the function itself: by then that
  // is there, and is called. Where it is sourced, it is registered.
  return fmt::format(
      "#compdef rookery\n"
      "# Completion of rookery for zsh: rookery completion zsh >~/.zfunc/_rookery, with ~/.zfunc in fpath\n"
      "_rookery() {{\n"
      "  local at= word before=\n"
      "  local -a choices options lab\n"
      "  for word in \"${{(@)words[2,CURRENT-1]}}\"; do\n"
      "{}{}    esac\n"
      "  done\n"
      "  case \"$at\" in\n{}  esac\n"
      "  if [[ $PREFIX = -* ]]; then choices=($options); fi\n"
      "  _describe rookery choices || _files\n"
      "}}\n"
      "if [[ $funcstack[1] = _rookery ]]; then _rookery \"$@\"; else compdef _rookery rookery; fi\n",
      kReadWords, path_cases(commands), cases);
}

std::string man_page(const CLI::App& app, const std::string& version) {
  std::string commands;
  describe(app, "", commands);
  return fmt::format(
      ".TH ROOKERY 1 \"\" \"rookery {}\" \"User Commands\"\n"
      ".SH NAME\nrookery \\- a cluster of real kernels on one host, booted over a simulated network\n"
      ".SH SYNOPSIS\n\\fBrookery\\fR \\fIcommand\\fR [options]\n"
      ".SH DESCRIPTION\n{}.\nA boot server starts from a medium; every other machine asks the network who it "
      "is, "
      "fetches a boot script, and runs from the same shared image.\n"
      ".SH COMMANDS\n{}"
      ".SH EXIT STATUS\n"
      ".TP\n0\nIt went as asked.\n"
      ".TP\n1\nIt was tried and did not come true.\n"
      ".TP\n2\nThe words or a file given are wrong, or there is no lab to talk to.\n"
      ".TP\n3\nIt did not happen in time.\n"
      ".TP\n4\nThe host lacks something, or a file is damaged.\n"
      ".TP\n5\nTwo runs that had to be the same were not.\n"
      ".TP\n130\nSomebody ended it (Ctrl\\-C, SIGTERM, SIGHUP) before it had a result.\n"
      ".TP\n141\nWho read its standard output had left.\n"
      ".PP\n\\fBexec\\fR in one machine exits as the program did; what is not the program's but ours is 120 "
      "more "
      "there.\n"
      ".SH ENVIRONMENT\n"
      ".TP\n\\fBROOKERY_LOG\\fR\ndebug, info, warn, error or off: what it says of its own work.\n"
      ".SH FILES\n"
      ".TP\n\\fI$XDG_CACHE_HOME/rookery\\fR or \\fI~/.cache/rookery\\fR\nImages, kernels, downloads.\n"
      ".TP\n\\fI$XDG_RUNTIME_DIR/rookery\\fR or \\fI/tmp/rookery\\-<uid>\\fR\nSockets and state of running "
      "labs.\n"
      ".SH EXAMPLES\n"
      ".TP\n\\fBrookery up classroom.yaml \\-\\-until ready\\fR\nBring a lab up, and leave it running.\n"
      ".TP\n\\fBrookery why n7\\fR\nSay why a machine did not boot.\n"
      ".TP\n\\fBrookery exec \\-\\-all \\-\\- uptime\\fR\nRun a program in all of them.\n"
      ".TP\n\\fBrookery down\\fR\nTake it down; nothing is left.\n",
      troff(version), troff(app.get_description()), commands);
}

}  // namespace rookery::vboot
