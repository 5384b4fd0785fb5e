// The commands that look into a running lab: why, logs, capture; and link, which pulls a cable.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "base/printable.h"
#include "vboot/cli/commands.h"
#include "vboot/cli/lab_client.h"
#include "vboot/cli/standard_streams.h"
#include "vboot/lab/quantity.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kNamesShown = 8;
// Whether it runs, and what it wrote of a MAC; with quiet-dhcp it writes of problems only.
constexpr const char* kAskDnsmasq =
    "pidof dnsmasq >/dev/null || echo dnsmasq does not run; "
    "grep -i -e \"$1\" /run/rookery/dnsmasq.log | tail -n 3";
constexpr Duration kServerPatience = std::chrono::seconds(5);

std::string names_of(JsonView machines) {
  std::string text;
  for (std::size_t i = 0; i < std::min(machines.size(), kNamesShown); ++i)
    text += fmt::format("{}{}", i == 0 ? "" : " ", machines.at(i).as_string().value_or(""));
  if (machines.size() > kNamesShown) text += fmt::format(" and {} more", machines.size() - kNamesShown);
  return text;
}

void print_groups(JsonView summary) {
  const JsonView groups = *summary.find("groups");
  print_words("{}: {} of {} machines ready\n", text_of(summary, "lab"), count_of(summary, "ready"),
              count_of(summary, "machines"));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const JsonView group = groups.at(i);
    const JsonView machines = *group.find("machines");
    print_words("\n{} {} in the stage {}: {}\n  {}{}\n", machines.size(), text_of(group, "cause"),
                text_of(group, "stage"), names_of(machines),
                machines.size() == 1 ? "" : fmt::format("{}: ", machines.at(0).as_string().value_or("")),
                text_of(group, "sentence"));
  }
}

void print_machine(JsonView report) {
  const std::string stage = text_of(report, "stage");
  print_words("{} {}\n", text_of(report, "name"),
              report.find("failed_in")             ? "failed in the stage " + text_of(report, "failed_in")
              : stage == "ready" || stage == "off" ? "is " + stage
                                                   : "is in the stage " + stage);
  const JsonView chain = *report.find("chain");
  for (std::size_t i = 0; i < chain.size(); ++i) {
    print_words("{:10.3f} s  {:<9} {}\n", number_of(chain.at(i), "at_s"), text_of(chain.at(i), "stage"),
                text_of(chain.at(i), "detail"));
  }
  const JsonView wire = *report.find("wire");
  if (wire.size() > 0) print_words("on its cable:\n");
  for (std::size_t i = 0; i < wire.size(); ++i) {
    const JsonView step = wire.at(i);
    const double first = number_of(step, "first_s"), last = number_of(step, "last_s");
    print_words("{:10.3f} s  {} {}{}{}\n", first, count_of(step, "count"), text_of(step, "what"),
                last > first ? fmt::format(", the last at {:.3f} s", last) : "",
                step.find("frame") ? fmt::format(" (frame {})", count_of(step, "frame")) : "");
  }
  const JsonView around = *report.find("around");
  if (around.size() > 0) print_words("around it, at {:.3f} s:\n", number_of(report, "now_s"));
  for (std::size_t i = 0; i < around.size(); ++i)
    print_words("              {}\n", around.at(i).as_string().value_or(""));
}

// What the boot server itself has to say of a machine that DHCP does not serve; nothing if it cannot be
// asked.
std::string server_words(ControlClient& client, JsonView report) {
  constexpr std::string_view kCauses[] = {"no-offer", "no-ack", "dhcp-refused", "no-boot-file"};
  const std::string cause = text_of(report, "cause");
  if (std::find(std::begin(kCauses), std::end(kCauses), cause) == std::end(kCauses)) return {};
  ExecRequest request;
  request.machines.names = {text_of(report, "boot_server")};
  request.argv = {"sh", "-c", kAskDnsmasq, "sh", text_of(report, "mac")};
  request.timeout = kServerPatience;
  std::string said;
  const auto asked = client.stream(request, [&](const ControlEvent& event) -> Status {
    if (event.name != "output") return {};
    const auto output = output_of(event);
    if (output && output->stream == "stdout") said += output->data;
    return {};
  });
  return asked ? said : std::string();
}

// Where a capture goes. The command opens it, with its own rights and in its own folder, and may wait for who
// reads a FIFO; the supervisor is given the descriptor.
struct CaptureOutput {
  UniqueFd fd;
  std::string name;
  bool is_standard = false;
  bool is_new = false;  // the file was made for this

  static Result<CaptureOutput> open(const std::string& file);
};

Result<CaptureOutput> CaptureOutput::open(const std::string& file) {
  CaptureOutput output;
  if (file == "-") {
    if (::isatty(1) != 0)
      return fail(
          ErrorKind::usage,
          "-o - writes frames to standard output, which is a terminal here: rookery capture n1 -o - | "
          "wireshark -k -i -");
    output.name = "standard output";
    output.is_standard = true;
    output.fd.reset(::fcntl(1, F_DUPFD_CLOEXEC, 3));
  } else {
    output.name = file;
    constexpr int kHow = O_WRONLY | O_NOCTTY | O_CLOEXEC;
    output.fd.reset(::open(file.c_str(), kHow | O_CREAT | O_EXCL, 0644));
    output.is_new = static_cast<bool>(output.fd);
    // Not O_TRUNC: another capture may be writing it.
    if (!output.fd && errno == EEXIST)
      output.fd.reset(::open(file.c_str(), kHow | O_CREAT | O_NONBLOCK, 0644));
    if (!output.fd && errno == ENXIO) {  // fifo(7)
      complain("waiting until somebody reads " + file);
      output.fd.reset(::open(file.c_str(), kHow));
    }
  }
  if (!output.fd) return fail_errno("cannot write the capture " + output.name);
  return output;
}

volatile std::sig_atomic_t heard_by = -1;  // the connection, for the handler

// What asks the command to end ends the capture; a second time, the command. Signals that it was started
// without stay ignored.
void end_at_signals(int connection) {
  heard_by = connection;
  struct sigaction end {};
  end.sa_handler = [](int) { ::shutdown(heard_by, SHUT_WR); };
  end.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    if (::sigaction(number, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
      ::sigaction(number, &end, nullptr);
  }
}

}  // namespace

Result<int> run_why(const LabChoice& choice, const std::string& machine) {
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  WhyRequest request;
  if (!machine.empty()) request.machine = machine;
  auto result = client->call(std::move(request));
  if (!result) return tl::unexpected<Error>(result.error());
  const std::string said = machine.empty() ? std::string() : server_words(*client, *result);
  if (!said.empty()) result->set("boot_server_says", said);
  if (choice.json) {
    print_json(*result);
  } else if (machine.empty()) {
    print_groups(*result);
  } else {
    print_machine(*result);
    if (!said.empty()) print_words("its boot server, {}, says:\n{}", text_of(*result, "boot_server"), said);
    print_words("{}: {}\n", text_of(*result, "cause"), text_of(*result, "sentence"));
  }
  std::fflush(stdout);
  return 0;
}

Result<int> run_logs(const LabChoice& choice, const std::string& machine, bool follow) {
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  // A terminal is not the machine's: firmware would clear it and change its modes. Others get every byte.
  ConsoleFilter filter;
  const bool filtered = ::isatty(1) != 0;
  const auto shown =
      client->stream(ConsoleRequest{machine, follow}, [&](const ControlEvent& event) -> Status {
        const auto output = output_of(event);
        if (!output) return tl::unexpected<Error>(output.error());
        const std::string text = filtered ? filter.take(output->data) + filter.calm() : output->data;
        std::fwrite(text.data(), 1, text.size(), stdout);
        return check_output();
      });
  if (!shown) return tl::unexpected<Error>(shown.error());
  return 0;
}

Result<int> run_link(const LabChoice& choice, const std::string& machine, const std::string& state) {
  if (state == "down") return run_fault(choice, "set", {machine, "down"});
  if (state == "up") return run_fault(choice, "clear", {machine + ".down"});
  return fail(ErrorKind::usage, "link knows up and down, not '" + state + "'");
}

Result<int> run_report(const LabChoice& choice, const std::vector<std::string>& files) {
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  for (const std::string& file : files) {
    const auto written = client->call(ReportRequest{std::filesystem::absolute(file).string()});
    if (!written) return tl::unexpected<Error>(written.error());
    if (choice.json) print_json(*written);
  }
  return 0;
}

Result<int> run_capture(const LabChoice& choice, const CaptureOptions& options) {
  CaptureRequest request;
  request.machines.all = options.machines.empty();
  request.machines.names = options.machines;
  if (!options.time.empty()) {
    const auto time = parse_duration(options.time);
    if (!time) return fail(ErrorKind::usage, "--for: " + time.error().message);
    request.time = *time;
  }
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  const auto output = CaptureOutput::open(options.file);
  if (!output) return tl::unexpected<Error>(output.error());
  request.file = output->name;
  request.replace = !output->is_standard;
  end_at_signals(client->fd());
  bool begun = false;
  const int files[] = {output->fd.get()};
  const auto result = client->stream(
      std::move(request),
      [&](const ControlEvent& event) -> Status {
        begun = begun || event.name == "capturing";
        if (event.name == "capturing" && options.time.empty())
          complain(fmt::format("capturing to {}; Ctrl-C ends it", output->name));
        return {};
      },
      std::nullopt, files);
  if (!result) {
    if (!begun && output->is_new) ::unlink(options.file.c_str());
    return tl::unexpected<Error>(result.error());
  }
  if (choice.json && !output->is_standard) {
    print_json(*result);
    return 0;
  }
  std::string words = fmt::format("{} frames in {}", count_of(*result, "frames"), output->name);
  if (const auto lost = count_of(*result, "frames_left_out"); lost > 0)
    words += fmt::format(", {} are not", lost);
  if (const std::string why = text_of(*result, "why"); !why.empty()) words += ": " + why;
  if (output->is_standard) {
    complain(words);
  } else {
    fmt::print("{}\n", words);
  }
  return 0;
}

}  // namespace rookery::vboot
