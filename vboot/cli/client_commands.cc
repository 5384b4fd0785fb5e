// The commands that talk to a running lab: ps, exec, power, console, fault, down.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>

#include "vboot/cli/commands.h"
#include "vboot/cli/lab_client.h"
#include "vboot/cli/standard_streams.h"
#include "vboot/cli/table.h"
#include "vboot/lab/name_patterns.h"

namespace rookery::vboot {
namespace {

// Output of many machines, a line at a time, each line behind its machine's name.
class LinePrinter {
 public:
  explicit LinePrinter(bool with_names) : with_names_(with_names) {}

  void take(const OutputEvent& event) {
    std::FILE* to = event.stream == "stderr" ? stderr : stdout;
    if (!with_names_) {
      put(to, event.data);
      return;
    }
    std::string& pending = pending_[{event.machine, event.stream}];
    pending += event.data;
    std::size_t start = 0;
    for (std::size_t end; (end = pending.find('\n', start)) != std::string::npos; start = end + 1) {
      put(to, fmt::format("{}: {}\n", event.machine, shown(to, pending.substr(start, end - start))));
    }
    pending.erase(0, start);
  }
  void finish() {
    for (const auto& [from, rest] : pending_) {
      std::FILE* to = from.second == "stderr" ? stderr : stdout;
      if (!rest.empty()) put(to, fmt::format("{}: {}\n", from.first, shown(to, rest)));
    }
  }

 private:
  // Many machines share the terminal: none of them is to write over the others' lines.
  static std::string shown(std::FILE* to, const std::string& line) {
    return ::isatty(::fileno(to)) != 0 ? printable(line) : line;
  }
  // Standard output is looked at by check_output(); who does not want standard error need not have it.
  static void put(std::FILE* to, std::string_view text) { std::fwrite(text.data(), 1, text.size(), to); }

  bool with_names_;
  std::map<std::pair<std::string, std::string>, std::string> pending_;
};

// What a machine said and how its program ended, for --json. Texts are put together as bytes: a character may
// come in two pieces.
struct Told {
  std::map<std::string, std::string> streams;
  std::optional<int> exit_code;
  std::string error;

  Json to_json(const std::string& machine) const {
    Json json = Json::object().set("name", machine);
    for (const auto& [stream, text] : streams) json.set(stream, text);
    if (exit_code) json.set("exit_code", Json::integer(*exit_code));
    if (!error.empty()) json.set("error", error);
    return json;
  }
};

// What firmware and full-screen programs change of a terminal, as it is by default: attributes, the cursor,
// line wrap, the scrolling region, the mouse, bracketed paste (DEC STD 070; xterm's control sequences).
constexpr std::string_view kOrdinary =
    "\x1b[!p\x1b[0m\x1b[?25h\x1b[?7h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l";

// The terminal without line editing and echo, and as it was afterwards.
class RawTerminal {
 public:
  RawTerminal() {
    if (::isatty(0) == 0 || ::tcgetattr(0, &before_) != 0) return;
    termios raw = before_;
    ::cfmakeraw(&raw);
    raw_ = ::tcsetattr(0, TCSANOW, &raw) == 0;
  }
  ~RawTerminal() {
    if (!raw_) return;
    ::tcsetattr(0, TCSANOW, &before_);
    if (::isatty(1) != 0) (void)!::write(1, kOrdinary.data(), kOrdinary.size());
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  bool is_raw() const { return raw_; }

 private:
  termios before_{};
  bool raw_ = false;
};

// For a supervisor that is silent until it has moved machines' memory, or taken down hundreds of them: their
// backends have deadlines of their own.
constexpr Duration kLongest = std::chrono::minutes(10);

constexpr char kEscape = 0x1d;  // Ctrl-], as telnet has it

// Sends what is typed until the escape; false if the input ended instead, and the output should go on.
bool type_into(ControlClient& client, const std::string& machine) {
  char block[1024];
  for (;;) {
    const ssize_t got = ::read(0, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    const std::string_view typed(block, static_cast<std::size_t>(got));
    const std::string_view keys = typed.substr(0, typed.find(kEscape));
    if (!keys.empty() && !client.call(InputRequest{machine, std::string(keys)})) return true;
    if (keys.size() < typed.size()) return true;
  }
}

// Behind the table: what was refused of whom.
void print_refusals(JsonView report) {
  const auto machines = report.find("machines");
  for (std::size_t i = 0; machines && i < machines->size(); ++i) {
    const JsonView machine = machines->at(i);
    const std::string name = text_of(machine, "name");
    const auto faults = machine.find("given_up");
    for (std::size_t k = 0; faults && k < faults->size(); ++k)
      fmt::print("{}: {}\n", name, faults->at(k).as_string().value_or(""));
    const auto refused = machine.find("refused");
    for (std::size_t k = 0; refused && k < refused->size(); ++k) {
      const JsonView one = refused->at(k);
      fmt::print("{}: {}: {} {}\n", name, text_of(one, "where"), count_of(one, "count"),
                 text_of(one, "what"));
    }
  }
  const auto pool = report.find("frame_pool");
  if (pool && count_of(*pool, "refused") > 0) {
    fmt::print("frames on their way: {} of {} MiB; {} more were refused\n",
               count_of(*pool, "in_use_bytes") >> 20, count_of(*pool, "limit_bytes") >> 20,
               count_of(*pool, "refused"));
  }
}

// "ready, frozen": with what is in its way now.
std::string stage_of(JsonView machine) {
  std::string text = text_of(machine, "stage");
  const auto ways = machine.find("in_the_way");
  for (std::size_t i = 0; ways && i < ways->size(); ++i)
    text += fmt::format(", {}", ways->at(i).as_string().value_or(""));
  return text;
}

}  // namespace

Result<int> run_ps(const LabChoice& choice) {
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  const auto result = client->call(PsRequest{});
  if (!result) return tl::unexpected<Error>(result.error());
  if (choice.json) {
    print_json(*result);
    return 0;
  }
  Table table({"MACHINE", "ROLE", "BACKEND", "STATE", "STAGE", "ADDRESS", ""}, {12, 12, 8, 8, 9, 16, 0});
  const auto add = [&](const std::optional<JsonView>& machines, const char* about) {
    for (std::size_t i = 0; machines && i < machines->size(); ++i) {
      const JsonView machine = machines->at(i);
      table.row({text_of(machine, "name"), text_of(machine, "role"), text_of(machine, "backend"),
                 text_of(machine, "state"), stage_of(machine), text_of(machine, "address"),
                 text_of(machine, about)});
    }
  };
  const auto uplink = result->find("uplink");
  add(result->find("machines"), "reason");
  if (uplink) add(uplink->find("machines"), "detail");
  print_words("{}", table.text());
  if (const auto walls = result->find("confinement"); walls && walls->find("whole")->as_boolean() == false)
    fmt::print("this host confines the processes of machines only in part: {}\n", text_of(*walls, "text"));
  print_refusals(*result);
  if (!uplink) return 0;
  const auto note = [&](const char* key, const char* words) {
    const auto text = text_of(*uplink, key);
    if (!text.empty()) print_words("uplink {}: {}{}\n", text_of(*uplink, "interface"), words, text);
  };
  note("problem", "");
  note("other_dhcp_server", "another DHCP server answers there, at ");
  return 0;
}

Result<int> run_exec(const LabChoice& choice, bool all, const std::string& machine,
                     const std::vector<std::string>& argv, std::optional<double> timeout_seconds) {
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  const bool several = all || is_several(machine);
  ExecRequest request;
  request.machines.all = all;
  if (!all) request.machines.names = {machine};
  request.argv = argv;
  if (timeout_seconds) request.timeout = Duration(static_cast<std::int64_t>(*timeout_seconds * 1e9));
  LinePrinter printer(several && !choice.json);
  int worst = 0;
  std::vector<std::string> silent;  // why nothing was heard of some machines
  std::map<std::string, Told> by_machine;
  std::optional<std::string> unreachable;  // why the one machine did not run it
  const auto on_event = [&](const ControlEvent& event) -> Status {
    if (event.name == "output") {
      auto output = output_of(event);
      if (!output) return tl::unexpected<Error>(output.error());
      if (choice.json) {
        by_machine[output->machine].streams[output->stream] += output->data;
      } else {
        printer.take(*output);
        return check_output();
      }
    } else if (event.name == "exited") {
      const auto exited = exited_of(event);
      if (!exited) return tl::unexpected<Error>(exited.error());
      worst = std::max(worst, exited->exit_code);
      by_machine[exited->machine].exit_code = exited->exit_code;
    } else if (event.name == "unreachable") {
      worst = std::max(worst, 1);
      if (text_of(event.fields, "kind") == to_text(ErrorKind::timeout)) {
        silent.push_back(text_of(event.fields, "reason"));
        by_machine[text_of(event.fields, "machine")].error = silent.back();
        return {};
      }
      by_machine[text_of(event.fields, "machine")].error = text_of(event.fields, "reason");
      if (!several) {
        unreachable = text_of(event.fields, "reason");
      } else if (!choice.json) {
        complain("rookery: " + text_of(event.fields, "reason"));
      }
    }
    return {};
  };
  const auto result = client->stream(request, on_event);
  printer.finish();
  if (!result) return tl::unexpected<Error>(result.error());
  if (choice.json) {
    Json machines = Json::array();
    for (const auto& [name, told] : by_machine) machines.add(told.to_json(name));
    print_json(Json::object().set("machines", std::move(machines)));
  }
  if (unreachable) return fail(*unreachable);
  if (!silent.empty()) return fail(ErrorKind::timeout, fmt::format("{}", fmt::join(silent, "\nrookery: ")));
  // One machine: its exit code, as ssh does. Several: 0, or 1 if any of them failed.
  return several ? (worst == 0 ? 0 : 1) : worst;
}

Result<int> run_power(const LabChoice& choice, const std::string& action,
                      const std::vector<std::string>& machines) {
  const auto parsed = power_action_of(action);
  if (!parsed) return fail(ErrorKind::usage, "power knows on, cut, reset and press, not '" + action + "'");
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  const auto result = client->call(PowerRequest{*parsed, MachineChoice{false, machines}});
  if (!result) return tl::unexpected<Error>(result.error());
  if (choice.json) print_json(*result);
  return 0;
}

Result<int> run_snapshot(const LabChoice& choice, bool restore, const std::string& machine,
                         const std::string& name) {
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  const auto action = restore ? SnapshotAction::restore : SnapshotAction::take;
  const auto result = client->call(SnapshotRequest{action, machine, name}, kLongest);
  if (!result) return tl::unexpected<Error>(result.error());
  if (choice.json) print_json(*result);
  return 0;
}

Result<int> run_console(const LabChoice& choice, const std::string& machine) {
  auto output_client = connect(choice);
  if (!output_client) return tl::unexpected<Error>(output_client.error());
  const auto print = [](const ControlEvent& event) -> Status {
    const auto output = output_of(event);
    if (!output) return tl::unexpected<Error>(output.error());
    std::fwrite(output->data.data(), 1, output->data.size(), stdout);
    return check_output();
  };
  auto input_client = connect(choice);
  if (!input_client) return tl::unexpected<Error>(input_client.error());
  if (::isatty(0) != 0) complain(fmt::format("console of {}; Ctrl-] leaves it", machine));
  // A child types, we print: two directions, each blocking. Whoever ends first restores the terminal and ends
  // the other.
  struct sigaction leave {};
  leave.sa_handler = [](int) { ::_exit(0); };
  ::sigaction(SIGUSR1, &leave, nullptr);
  const pid_t parent = ::getpid();
  std::optional<RawTerminal> terminal(std::in_place);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("cannot read the keyboard");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (type_into(*input_client, machine)) {
      const bool raw = terminal->is_raw();
      terminal.reset();
      if (raw) complain("");
      ::kill(parent, SIGUSR1);
    }
    ::_exit(0);
  }
  const auto ended = output_client->stream(ConsoleRequest{machine, true}, print);
  ::kill(child, SIGKILL);
  if (!ended) return tl::unexpected<Error>(ended.error());
  return 0;
}

Result<int> run_fault(const LabChoice& choice, const std::string& action,
                      const std::vector<std::string>& words) {
  FaultRequest request;
  request.action = action == "show"  ? FaultAction::show
                   : action == "set" ? FaultAction::set
                                     : FaultAction::clear;
  request.words = words;
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  const auto result = client->call(std::move(request));
  if (!result) return tl::unexpected<Error>(result.error());
  if (choice.json) {
    print_json(*result);
    return 0;
  }
  if (const auto fault = result->find("fault")) fmt::print("{}\n", text_of(*fault, "name"));
  const auto faults = result->find("faults");
  Table table({"FAULT", "SEEN", "HIT", "WHAT"}, {20, 10, 10, 0});
  for (std::size_t i = 0; faults && i < faults->size(); ++i) {
    const JsonView one = faults->at(i);
    table.row({text_of(one, "name"), fmt::to_string(count_of(one, "seen")),
               fmt::to_string(count_of(one, "hit")), text_of(one, "text")});
  }
  if (faults && faults->size() > 0) print_words("{}", table.text());
  return 0;
}

Result<int> run_down(const LabChoice& choice) {
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  ucred peer{};
  socklen_t size = sizeof peer;
  ::getsockopt(client->fd(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
  const UniqueFd supervisor(static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0)));
  const auto result = client->call(DownRequest{}, kLongest);
  if (!result) return tl::unexpected<Error>(result.error());
  // It answers when nothing is left but itself and its empty folder.
  constexpr int kPatience = 10'000;  // milliseconds
  pollfd ended{supervisor.get(), POLLIN, 0};
  if (supervisor) (void)::poll(&ended, 1, kPatience);
  if (choice.json) print_json(*result);
  return 0;
}

}  // namespace rookery::vboot
