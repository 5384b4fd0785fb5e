// `rookery up`: finds everything that the lab needs, then becomes its supervisor. The order is: plan (pure),
// image and medium (verified whole), folders and janitor, lab, control socket, and only then the first
// machine.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "images/store/store.h"
#include "netsim/ports/packet.h"
#include "vboot/cli/commands.h"
#include "vboot/cli/progress.h"
#include "vboot/cli/report_files.h"
#include "vboot/cli/standard_streams.h"
#include "vboot/cli/supervisor.h"
#include "vboot/cli/up_words.h"
#include "vboot/control/client.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/run/admission/resources.h"
#include "vboot/run/session/booted_image.h"

namespace rookery::vboot {
namespace {

namespace fs = std::filesystem;

Result<LabPlan> plan_of(const std::string& text, const UpOptions& options) {
  auto lab = parse_lab(text, options.lab_file, beside(options.lab_file));
  if (!lab) return tl::unexpected<Error>(lab.error());
  PlanOptions plan_options;
  plan_options.nodes = options.nodes;
  plan_options.seed = options.seed;
  auto plan = plan_lab(*lab, plan_options);
  if (!plan || options.uplink.interface.empty()) return plan;
  const auto nic = netsim::PacketPort::look(options.uplink.interface);
  if (!nic) return tl::unexpected<Error>(Error(nic.error()).while_doing("--uplink"));
  MacBytes address;
  nic->write(address.data());
  auto uplink = plan_uplink(*plan, options.uplink, address);
  if (!uplink) return tl::unexpected<Error>(uplink.error());
  plan->uplink = std::move(*uplink);
  return plan;
}

Result<int> supervise(const UpOptions& options, const BackendFactory& factory, Progress& progress,
                      const std::function<void(const Json&)>& on_settled) {
  const auto text = read_file(options.lab_file, mebibytes(1));
  if (!text) return fail(ErrorKind::usage, text.error().message);
  auto plan = plan_of(*text, options);
  if (!plan) return tl::unexpected<Error>(plan.error());
  const auto store = images::Store::open();
  if (!store) return tl::unexpected<Error>(store.error());
  progress.line(fmt::format("checking the medium of the image {}", plan->image));
  auto image = open_booted_image(plan->image, *store, &*plan);
  if (!image) return tl::unexpected<Error>(image.error());
  progress.line(fmt::format("lab {}: {} machines, seed {}", plan->name, plan->machines.size(), plan->seed));
  const auto runtime = runtime_folder();
  if (!runtime) return tl::unexpected<Error>(runtime.error());
  ReportTexts texts;
  texts.command = replay_command(options);
  texts.files = {{fs::path(options.lab_file).filename().string(), *text}};
  SessionSetup setup;
  setup.place.runtime = *runtime;
  setup.place.name = plan->name;
  setup.place.last = clean_after(*plan);
  setup.plan = std::move(*plan);
  setup.image = std::move(*image);
  setup.backends = factory;
  setup.booting_at_once = options.booting_at_once;
  Supervisor supervisor(options, progress);
  ROOKERY_TRY(supervisor.prepare(std::move(setup), std::move(texts)));
  return supervisor.run(on_settled);
}

int exit_code_of(const Json& report) {
  return report.find("failed")->size() == 0 ? 0 : 1;
}

// The supervisor goes to the background once all are ready or have failed; until then we wait and pass on its
// report.
Result<int> supervise_detached(const UpOptions& options, const BackendFactory& factory) {
  int line[2];
  if (::pipe2(line, O_CLOEXEC) != 0) return fail_errno("cannot make a pipe");
  UniqueFd from_child(line[0]), to_parent(line[1]);
  const pid_t waiting = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("cannot detach");
  if (child == 0) {
    from_child.reset();
    // If who waits is interrupted, nobody wants this lab: it goes down, until it is up.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != waiting) ::_exit(1);
    Progress progress(Progress::how(options.json, options.plain, options.verbose));
    const auto write_line = [&](const Json& message) {
      const std::string text = message.dump() + "\n";
      (void)!::write(to_parent.get(), text.data(), text.size());
      to_parent.reset();
    };
    const auto code = supervise(options, factory, progress, [&](const Json& report) {
      ::prctl(PR_SET_PDEATHSIG, 0);
      ::setsid();  // not before: until now the terminal's keys are for the live view
      write_line(report);
      (void)progress.settle();
      const UniqueFd null(::open("/dev/null", O_RDWR));
      for (int fd = 0; fd < 3; ++fd) ::dup2(null.get(), fd);
    });
    (void)progress.settle();
    if (!code && to_parent) write_line(error_message(0, code.error()));
    ::_exit(code ? *code : static_cast<int>(code.error().kind));
  }
  to_parent.reset();
  // Ctrl-C is for both, and the lab's end is worth waiting for: the terminal is the view's until then.
  if (::isatty(0) != 0) ::signal(SIGINT, SIG_IGN);
  std::string text;
  char block[4096];
  for (ssize_t got; (got = ::read(from_child.get(), block, sizeof block)) != 0;) {
    if (got < 0 && errno != EINTR) break;
    if (got > 0) text.append(block, static_cast<std::size_t>(got));
  }
  const auto message = Json::parse(text);
  if (!message) return fail("the supervisor ended before the lab was up");
  if (message->find("error")) {
    const auto reply = parse_reply(*message);
    if (reply && std::holds_alternative<Error>(reply->body))
      return tl::unexpected<Error>(std::get<Error>(reply->body));
  }
  fmt::print("{}", summary_of(*message, options));
  return exit_code_of(*message);
}

}  // namespace

Result<int> run_up(const UpOptions& options, const BackendFactory& backends) {
  if (!options.until.empty() && options.until != "ready") {
    return fail(ErrorKind::usage, "--until knows 'ready', not '" + options.until + "'");
  }
  if (options.timeout_seconds && options.until.empty() && !options.detach)
    return fail(ErrorKind::usage, "--timeout goes with --until ready");
  if (options.take_down && options.until.empty())
    return fail(ErrorKind::usage, "--down goes with --until ready");
  if (options.detach && options.take_down) return fail(ErrorKind::usage, "--detach does not go with --down");
  ROOKERY_TRY(check_report_files(options.reports));
  ROOKERY_TRY(check_own_limits());
  // Reached and not to be taken down: the lab goes on in the background.
  if (options.detach || (options.until == "ready" && !options.take_down))
    return supervise_detached(options, backends);
  Progress progress(Progress::how(options.json, options.plain, options.verbose));
  auto code = supervise(options, backends, progress, [&](const Json& report) {
    progress.result(summary_of(report, options));
    if (options.until.empty()) progress.line("the lab is up; Ctrl-C or `rookery down` takes it down");
  });
  const Status said = progress.settle();
  if (!code || *code != 0 || said) return code;
  if (output_reader_is_gone()) return kReaderIsGone;
  return tl::unexpected<Error>(said.error());
}

}  // namespace rookery::vboot
