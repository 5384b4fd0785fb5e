// `rookery doctor`: whether this host can do what Rookery does, tried and measured where that is possible.
// Each line says what was found, and if it is not enough, what to do.
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdio>

#include "base/command.h"
#include "base/confinement.h"
#include "base/file.h"
#include "images/make/debian_system.h"
#include "images/store/store.h"
#include "vboot/cli/commands.h"
#include "vboot/cli/lab_client.h"
#include "vboot/run/admission/resources.h"
#include "vboot/run/session/booted_image.h"

namespace rookery::vboot {
namespace {

namespace fs = std::filesystem;

constexpr const char* kImage = "debian-12";
// What limits are held against: a lab that says nothing of its machines but that there are so many.
constexpr std::uint64_t kClients = 100;
constexpr const char* kLab =
    "lab: doctor\nmachines:\n  server: {role: boot-server}\n  n: {role: client, count: 100}\n";

enum class Found : std::uint8_t { good, less, bad };  // less: something cannot be done, or not as quickly

struct Finding {
  std::string what;
  Found found = Found::good;
  std::string text;
};

// A kernel without a root device says so when it has come to the end of what it can do: so it runs here.
Finding user_mode_linux(const fs::path& kernel) {
  Finding finding{"User-Mode Linux", Found::bad, {}};
  const auto folder = TemporaryFolder::make("rookery-doctor-");
  if (!folder) {
    finding.text = folder.error().message;
    return finding;
  }
  Command command;
  command.argv = {"timeout",        "-k",           "1",        "20",
                  kernel.string(),  "mem=32M",      "panic=-1", "con=null",
                  "con0=fd:0,fd:1", "seccomp=auto", "uml_dir=."};
  command.folder = folder->path();
  const auto ran = run_command(command);
  if (!ran) {
    finding.text = ran.error().message;
    return finding;
  }
  const std::string said = ran->errors + ran->output;
  // (Two lines say so; what a kernel that panics says last does not always arrive.)
  if (said.find("Cannot open root device") == std::string::npos &&
      said.find("/dev/root: Can't open blockdev") == std::string::npos) {
    const std::string last = said.substr(0, said.find_last_not_of('\n') + 1);
    finding.text = "its kernel does not come up here: " + last.substr(last.rfind('\n') + 1);
    return finding;
  }
  const bool seccomp = said.find("seccomp filters can be installed...OK") != std::string::npos;
  finding.found = seccomp ? Found::good : Found::less;
  finding.text =
      seccomp ? "a kernel boots, its processes held by seccomp"
              : "a kernel boots, but by ptrace, which is several times slower: seccomp filters cannot be "
                "installed here (in a container: its profile forbids them)";
  return finding;
}

// A guest's own kernel is trusted with nothing of the host: by what it is kept from it.
Finding confinement() {
  const HostWalls& walls = host_walls();
  Finding finding{"confinement", Found::good, "machines' processes have " + walls.describe()};
  if (walls.whole()) return finding;
  finding.found = Found::less;
  if (!walls.namespaces)
    finding.text +=
        "; to allow them: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 "
        "(Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0; a container: its profile)";
  return finding;
}

// The image, and with it the kernel that can be tried.
void look_at_image(std::vector<Finding>& findings) {
  const auto store = images::Store::open();
  const auto image = store ? open_booted_image(kImage, *store) : tl::unexpected<Error>(store.error());
  if (!image) {
    findings.push_back({"image", Found::bad, image.error().message});
    findings.push_back({"User-Mode Linux", Found::less, "not tried: its kernel comes with the image"});
    return;
  }
  findings.push_back({"image", Found::good, fmt::format("{}, whole", kImage)});
  findings.push_back(user_mode_linux(image->client.kernel));
}

void look_at_limits(std::vector<Finding>& findings) {
  const auto host = measure_host_and_user("/dev/shm");
  const auto plan = parse_lab(kLab, "doctor").and_then([](const Lab& lab) { return plan_lab(lab, {}); });
  if (!host || !plan) {
    findings.push_back({"limits", Found::bad, (host ? plan.error() : host.error()).message});
    return;
  }
  const PredictedUse use = predict_use(*plan);
  const auto mib = [](Bytes bytes) { return bytes.count >> 20; };
  const auto add = [&](std::string what, std::uint64_t there, std::uint64_t wanted, const std::string& unit,
                       const std::string& remedy) {
    const bool enough = there >= wanted;
    findings.push_back(
        {std::move(what), enough ? Found::good : Found::less,
         fmt::format("{}{}{}", there, unit,
                     enough ? "" : fmt::format("; {} clients need {}: {}", kClients, wanted, remedy))});
  };
  add("memory", mib(host->memory_available), mib(use.memory) + mib(kMemoryReserve), " MiB available",
      "start fewer");
  add("/dev/shm", mib(host->memory_files_free), mib(use.memory_files) + mib(kMemoryReserve), " MiB free",
      "mount -o remount,size=80% /dev/shm (in a container: --shm-size)");
  add("open files", host->descriptors, use.descriptors, " (hard limit)",
      "ulimit -Hn, or nofile in limits.conf(5)");
  add("processes", host->processes - std::min(host->processes, host->processes_used), use.processes,
      " left (nproc, pid_max)", "nproc in limits.conf(5), or sysctl kernel.pid_max=4194304");
  // Where not even one client can run, no lab can.
  PlanOptions smallest;
  smallest.nodes = 1;
  const auto least =
      parse_lab(kLab, "doctor").and_then([&](const Lab& lab) { return plan_lab(lab, smallest); });
  const bool none_runs = least && !obstacles(predict_use(*least), *host).empty();
  const auto in_the_way = obstacles(use, *host);
  for (const std::string& one : in_the_way)
    findings.push_back({"limits", none_runs ? Found::bad : Found::less, one});
  if (in_the_way.empty())
    findings.push_back({"limits", Found::good, "/dev/shm runs programs; ulimit -v, -d and -f leave room"});
}

// For building images as an ordinary user: mmdebstrap maps a range of ids.
Finding subordinate_ids() {
  Finding finding{"subordinate ids", Found::good, "not needed by root"};
  if (::geteuid() == 0) return finding;
  const passwd* user = ::getpwuid(::geteuid());
  const std::string name = user != nullptr ? user->pw_name : std::to_string(::geteuid());
  for (const char* file : {"/etc/subuid", "/etc/subgid"}) {
    const auto text = read_file(file);
    if (text && images::has_subordinate_ids(*text, name, ::geteuid())) continue;
    return {"subordinate ids", Found::less,
            fmt::format("{} gives {} not enough of them; only building an image needs them: usermod "
                        "--add-subuids 100000-165535 --add-subgids 100000-165535 {}",
                        file, name, name)};
  }
  finding.text = "there";
  return finding;
}

void look_at_programs(std::vector<Finding>& findings) {
  struct Program {
    const char *name, *package, *use;
  };
  for (const Program& one : {Program{"mmdebstrap", "mmdebstrap", "building an image"},
                             Program{"mksquashfs", "squashfs-tools", "building an image"},
                             Program{"xorriso", "xorriso", "building an image"},
                             Program{"newuidmap", "uidmap", "building an image as an ordinary user"},
                             Program{"ssh", "openssh-client", "rookery ssh"},
                             Program{"tshark", "tshark", "reading captures (or Wireshark)"}}) {
    const auto found = find_program(one.name, one.package);
    findings.push_back(
        {one.name, found ? Found::good : Found::less,
         found ? found->string() : fmt::format("apt-get install {}: for {}", one.package, one.use)});
  }
}

}  // namespace

Result<int> run_doctor(bool json, const std::vector<HostTrial>& hypervisors) {
  std::vector<Finding> findings;
  look_at_image(findings);
  for (const HostTrial& one : hypervisors) {
    const auto outcome = one.run();
    findings.push_back(
        {one.what, outcome ? Found::good : Found::less, outcome ? *outcome : outcome.error().message});
  }
  findings.push_back(confinement());
  look_at_limits(findings);
  findings.push_back(subordinate_ids());
  look_at_programs(findings);

  constexpr std::string_view kWords[] = {"good", "less", "bad"};
  bool bad = false;
  Json list = Json::array();
  for (const Finding& one : findings) {
    const std::string_view word = kWords[static_cast<std::size_t>(one.found)];
    bad |= one.found == Found::bad;
    if (!json) fmt::print("{:<5} {:<16} {}\n", word, one.what, one.text);
    list.add(Json::object().set("what", one.what).set("found", word).set("text", one.text));
  }
  if (json) {
    print_json(Json::object().set("findings", std::move(list)));
  } else {
    fmt::print("{}\n",
               bad ? "No lab can run here yet: see the lines that say 'bad'."
                   : "Labs run here. What is 'less' is wanted for some of them only, or makes them quicker.");
  }
  return bad ? static_cast<int>(ErrorKind::infrastructure) : 0;
}

}  // namespace rookery::vboot
