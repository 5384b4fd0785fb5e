// The program `rookery`: reads the command line, names the concrete backends, and turns errors into words and
// exit codes (0 pass, 1 expectation failed, 2 usage or lab file, 3 timeout, 4 infrastructure, 5 not
// reproducible; 130 interrupted; docs/commands.md).
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "backends/libvirt/libvirt_backend.h"
#include "backends/libvirt/records.h"
#include "backends/qemu/accelerator.h"
#include "backends/qemu/qemu_backend.h"
#include "backends/uml/uml_backend.h"
#include "backends/xen/xen_backend.h"
#include "vboot/cli/command_words.h"
#include "vboot/cli/commands.h"
#include "vboot/cli/logging.h"
#include "vboot/cli/registration.h"
#include "vboot/cli/standard_streams.h"
#include "vboot/control/requests.h"
#include "vboot/lab/name_patterns.h"
#include "vboot/run/session/host_place.h"

namespace {

using namespace rookery;
using namespace rookery::vboot;

Result<std::unique_ptr<backends::Backend>> make_libvirt(const BackendChoice& choice, EventLoop& loop) {
  const auto uri =
      backends::parse_libvirt_uri(choice.uri.empty() ? backends::kDefaultLibvirtUri : choice.uri);
  if (!uri) return tl::unexpected<Error>(uri.error());
  const auto runtime = runtime_folder();
  if (!runtime) return tl::unexpected<Error>(runtime.error());
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  auto setup = backends::begin_record(
      *runtime, *uri, {choice.lab, fmt::format("{}@{}:{}", ::getuid(), host, choice.folder.string())});
  if (!setup) return tl::unexpected<Error>(setup.error());
  return std::make_unique<backends::LibvirtBackend>(loop, std::move(*setup), []() -> Result<bool> {
    return backends::choose_accelerator({}).map(
        [](const auto& made) { return made.accelerator == backends::Accelerator::kvm; });
  });
}

Result<std::unique_ptr<backends::Backend>> make_backend(const BackendChoice& choice, EventLoop& loop) {
  if (choice.name == "uml") return std::make_unique<backends::UmlBackend>(loop);
  if (choice.name == "qemu") return std::make_unique<backends::QemuBackend>(loop);
  if (choice.name == "libvirt") return make_libvirt(choice, loop);
  if (choice.name == "xen") return std::make_unique<backends::XenBackend>(loop);
  return nullptr;
}

// Whether a backend would take a lab's machines on this host.
Result<std::string> can_run(const std::string& name) {
  EventLoop loop(std::make_unique<WallPacer>());
  auto backend = make_backend({name, {}, "doctor", {}}, loop);
  if (!backend) return tl::unexpected<Error>(backend.error());
  return (*backend)->probe({}).map([](const auto&) { return std::string("takes machines here"); });
}

// What the program says of its host and of itself.
void add_helpers(CLI::App& app, Deed& deed) {
  auto json = std::make_shared<bool>(false);
  CLI::App* doctor =
      app.add_subcommand("doctor", "Whether this host can do what Rookery does, tried and measured");
  doctor->add_flag("--json", *json, "JSON on standard output");
  doctor->callback([=, &deed] {
    deed = [=] {
      return run_doctor(*json, {{"QEMU",
                                 []() -> Result<std::string> {
                                   const auto made = backends::choose_accelerator({});
                                   if (!made) return tl::unexpected<Error>(made.error());
                                   if (made->accelerator == backends::Accelerator::kvm) return made->why;
                                   return fail("machines run, emulated (TCG), which is slower: " + made->why);
                                 }},
                                {"libvirt", [] { return can_run("libvirt"); }},
                                {"Xen", [] { return can_run("xen"); }}});
    };
  });

  auto clean_json = std::make_shared<bool>(false);
  CLI::App* clean = app.add_subcommand("clean", "Remove what labs left whose supervisor was killed");
  clean->add_flag("--json", *clean_json, "JSON on standard output");
  clean->callback([=, &deed] {
    deed = [=] {
      return run_clean(*clean_json, {[]() -> Result<std::vector<std::string>> {
                                       const auto runtime = runtime_folder();
                                       if (!runtime) return tl::unexpected<Error>(runtime.error());
                                       return backends::destroy_left_domains(*runtime);
                                     },
                                     []() -> Result<std::vector<std::string>> {
                                       const auto runtime = runtime_folder();
                                       if (!runtime) return tl::unexpected<Error>(runtime.error());
                                       return remove_left_places(*runtime);
                                     }});
    };
  });

  auto shell = std::make_shared<std::string>();
  CLI::App* completion =
      app.add_subcommand("completion", "Completion for a shell: source <(rookery completion bash)");
  completion->add_option("shell", *shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
  completion->callback([=, &app, &deed] {
    deed = [=, &app]() -> Result<int> {
      fmt::print("{}", *shell == "bash" ? bash_completion(app) : zsh_completion(app));
      return 0;
    };
  });

  auto man = std::make_shared<bool>(false);
  CLI::App* help =
      app.add_subcommand("help", "These words, or the manual page: rookery help --man | man -l -");
  help->add_flag("--man", *man, "As a manual page");
  help->callback([=, &app, &deed] {
    deed = [=, &app]() -> Result<int> {
      fmt::print("{}", *man ? man_page(app, ROOKERY_VERSION)
                            : app.get_formatter()->make_help(&app, "rookery", CLI::AppFormatMode::Normal));
      return 0;
    };
  });
}

// The exit code, when all that was to be said is said: here alone it is looked at whether the results reached
// who wanted them.
int ended(const Result<int>& code, int above = 0) {
  const Status output = check_output();
  if (!output && output_reader_is_gone()) return code && *code != 0 ? *code : kReaderIsGone;
  if (!code) complain("rookery: " + code.error().message);
  if (!output && (code || code.error().message != output.error().message))
    complain("rookery: " + output.error().message);
  const auto of_kind = [above](const Error& error) {
    return error.kind == ErrorKind::interrupted ? static_cast<int>(error.kind)
                                                : above + static_cast<int>(error.kind);
  };
  if (!code) return of_kind(code.error());
  return *code == 0 && !output ? of_kind(output.error()) : *code;
}

// `exec` in one machine exits as the program there did; what is our own failure is told apart from that.
constexpr int kAboveThePrograms = 120;
bool speaks_for_a_program(const std::vector<std::string>& line) {
  return !line.empty() && line[0] == "exec" && std::none_of(line.begin(), line.end(), [](const auto& word) {
    return word == "--all" || is_several(word);
  });
}

int run(int argc, char** argv) {
  CLI::App app("Rookery: a cluster of real kernels on one host, booted over a simulated network");
  app.set_version_flag("--version", std::string("rookery ") + ROOKERY_VERSION);
  app.require_subcommand(0, 1);
  // What stands behind "--" is another program's, dashes and all; the parser does not get to see it.
  const std::vector<std::string> words(argv, argv + argc);
  const auto dashes = std::find(words.begin(), words.end(), "--");
  const std::vector<std::string> program(dashes == words.end() ? dashes : dashes + 1, words.end());
  std::vector<std::string> line = options_behind({words.begin() + 1, dashes});
  const int above = speaks_for_a_program(line) ? kAboveThePrograms : 0;
  Deed deed;
  add_up(app, deed, make_backend);
  add_scenarios(app, deed, make_backend);
  add_clients(app, deed, program);
  add_images(app, deed);
  add_helpers(app, deed);
  try {
    std::reverse(line.begin(), line.end());  // as CLI11 wants them
    app.parse(std::move(line));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return ended(app.exit(error));  // --help, --version
    return ended(fail(ErrorKind::usage, complaint(app, error.what())), above);
  }
  if (!deed) {
    complain(app.help());
    return static_cast<int>(ErrorKind::usage);
  }
  return ended(deed(), above);
}

}  // namespace

int main(int argc, char** argv) {
  settle_inheritance();
  log_to_standard_error();
  try {
    const char* const level = std::getenv("ROOKERY_LOG");
    if (const Status known = set_log_level(level != nullptr && *level != '\0' ? level : "warn"); !known)
      return ended(tl::unexpected<Error>(Error(known.error()).while_doing("ROOKERY_LOG")));
    return run(argc, argv);
  } catch (const std::exception& error) {  // of a library of others: none of ours throws
    // A print that failed (fmt throws then) is said as every result that reached nobody.
    if (std::ferror(stdout) != 0) return ended(0);
    return ended(fail(error.what()));
  }
}
