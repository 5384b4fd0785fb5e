// The commands that look into a running lab: why, logs, capture; and link, which pulls a cable.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "vboot/cli/commands.h"
#include "vboot/cli/lab_client.h"
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
  fmt::print("{}: {} of {} machines ready\n", text_of(summary, "lab"), count_of(summary, "ready"),
             count_of(summary, "machines"));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const JsonView group = groups.at(i);
    const JsonView machines = *group.find("machines");
    fmt::print("\n{} {} in the stage {}: {}\n  {}{}\n", machines.size(), text_of(group, "cause"),
               text_of(group, "stage"), names_of(machines),
               machines.size() == 1 ? "" : fmt::format("{}: ", machines.at(0).as_string().value_or("")),
               text_of(group, "sentence"));
  }
}

void print_machine(JsonView report) {
  const std::string stage = text_of(report, "stage");
  fmt::print("{} {}\n", text_of(report, "name"),
             report.find("failed_in")             ? "failed in the stage " + text_of(report, "failed_in")
             : stage == "ready" || stage == "off" ? "is " + stage
                                                  : "is in the stage " + stage);
  const JsonView chain = *report.find("chain");
  for (std::size_t i = 0; i < chain.size(); ++i) {
    fmt::print("{:10.3f} s  {:<9} {}\n", number_of(chain.at(i), "at_s"), text_of(chain.at(i), "stage"),
               text_of(chain.at(i), "detail"));
  }
  const JsonView wire = *report.find("wire");
  if (wire.size() > 0) fmt::print("on its cable:\n");
  for (std::size_t i = 0; i < wire.size(); ++i) {
    const JsonView step = wire.at(i);
    const double first = number_of(step, "first_s"), last = number_of(step, "last_s");
    fmt::print("{:10.3f} s  {} {}{}{}\n", first, count_of(step, "count"), text_of(step, "what"),
               last > first ? fmt::format(", the last at {:.3f} s", last) : "",
               step.find("frame") ? fmt::format(" (frame {})", count_of(step, "frame")) : "");
  }
  const JsonView around = *report.find("around");
  if (around.size() > 0) fmt::print("around it, at {:.3f} s:\n", number_of(report, "now_s"));
  for (std::size_t i = 0; i < around.size(); ++i)
    fmt::print("              {}\n", around.at(i).as_string().value_or(""));
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
    if (!said.empty()) fmt::print("its boot server, {}, says:\n{}", text_of(*result, "boot_server"), said);
    fmt::print("{}: {}\n", text_of(*result, "cause"), text_of(*result, "sentence"));
  }
  std::fflush(stdout);
  return 0;
}

Result<int> run_logs(const LabChoice& choice, const std::string& machine, bool follow) {
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  const auto shown = client->stream(ConsoleRequest{machine, follow}, [](const ControlEvent& event) -> Status {
    const auto output = output_of(event);
    if (!output) return tl::unexpected<Error>(output.error());
    std::fwrite(output->data.data(), 1, output->data.size(), stdout);
    std::fflush(stdout);
    return {};
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
  request.file = std::filesystem::absolute(options.file).string();
  if (!options.time.empty()) {
    const auto time = parse_duration(options.time);
    if (!time) return fail(ErrorKind::usage, "--for: " + time.error().message);
    request.time = *time;
  }
  auto client = connect(choice);
  if (!client) return tl::unexpected<Error>(client.error());
  const auto result = client->stream(std::move(request), [&](const ControlEvent& event) -> Status {
    if (event.name == "capturing" && options.time.empty())
      fmt::print(stderr, "capturing to {}; Ctrl-C ends it\n", text_of(event.fields, "file"));
    return {};
  });
  if (!result) return tl::unexpected<Error>(result.error());
  if (choice.json) {
    print_json(*result);
  } else {
    fmt::print("{} frames in {}\n", count_of(*result, "frames"), options.file);
  }
  return 0;
}

}  // namespace rookery::vboot
