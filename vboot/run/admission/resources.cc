#include "vboot/run/admission/resources.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/file.h"

namespace rookery::vboot {
namespace {

// Measured with tests/bench/labs.sh (docs/internals/resources.md): a client takes 15.5 to 16.6 MiB of host
// memory when it is ready, at 100 as at 1,000; what its programs take and its cache keeps later comes on top,
// and is bounded by its ceiling.
constexpr Bytes kClientMemory = mebibytes(18);
// A PC with a distribution's kernel, of QEMU, which libvirt starts as well: twenty took 5 GB
// (docs/backends/qemu.md).
constexpr Bytes kPcMemory = mebibytes(256);
// A domain's memory is the hypervisor's, which has its own word on it: what it takes of this host's is its
// device model, if it is a PC, and its console. Estimates on the safe side.
constexpr Bytes kXenPcMemory = mebibytes(64), kXenMemory = mebibytes(4);
// A boot server reads the image through its page cache, so in time it uses what it was promised.
// A listener, a connection and a channel for each of up to three devices, two console pipes, a pidfd.
constexpr std::uint64_t kDescriptorsPerMachine = 16, kDescriptorsOfOurs = 128;
// The kernel, and a host process for each address space in the guest: three when idle, some more while it
// starts.
constexpr std::uint64_t kProcessesPerClient = 12, kProcessesOfBootServer = 64;
// Of the supervisor itself: its program, its libraries, its threads' stacks and what malloc sets aside for
// them.
constexpr Bytes kOurAddressSpace = mebibytes(1024), kOurData = mebibytes(512);

Result<std::uint64_t> number_in(const std::filesystem::path& path, std::string_view key) {
  const auto text = read_file(path);
  if (!text) return tl::unexpected<Error>(text.error());
  const std::size_t at = key.empty() ? 0 : text->find(key);
  const std::size_t digit = at == std::string::npos ? at : text->find_first_of("0123456789", at + key.size());
  std::uint64_t value = 0;
  if (digit == std::string::npos ||
      std::from_chars(text->data() + digit, text->data() + text->size(), value).ec != std::errc()) {
    return fail(fmt::format("{} has no number for '{}'", path.string(), key));
  }
  return value;
}

bool has_memory_file(const MachinePlan& machine) {
  return machine.backend == "uml";
}

std::uint64_t mib(Bytes bytes) {
  return bytes.count >> 20;
}

}  // namespace

namespace {

std::optional<Bytes> soft_limit(__rlimit_resource resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return Bytes{limit.rlim_cur};
}

// What RLIMIT_NPROC counts; of what ends meanwhile nothing.
std::uint64_t threads_of_user() {
  std::uint64_t threads = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end;
       entry.increment(error)) {
    struct stat status {};
    if (entry->path().filename().string().find_first_not_of("0123456789") != std::string::npos ||
        ::stat(entry->path().c_str(), &status) != 0 || status.st_uid != ::getuid())
      continue;
    threads += number_in(entry->path() / "status", "Threads:").value_or(0);
  }
  return threads;
}

}  // namespace

Result<HostResources> measure_host(const std::filesystem::path& memory_folder) {
  HostResources host;
  const auto available = number_in("/proc/meminfo", "MemAvailable:");
  if (!available) return tl::unexpected<Error>(available.error());
  host.memory_available = Bytes{*available << 10};
  struct statvfs files {};
  if (::statvfs(memory_folder.c_str(), &files) != 0)
    return fail_errno("cannot look at " + memory_folder.string());
  host.memory_files_free = Bytes{std::uint64_t{files.f_bavail} * files.f_frsize};
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  host.descriptors = limit.rlim_max;
  ::getrlimit(RLIMIT_NPROC, &limit);
  const auto pid_max = number_in("/proc/sys/kernel/pid_max", "");
  if (!pid_max) return tl::unexpected<Error>(pid_max.error());
  host.processes = std::min<std::uint64_t>(limit.rlim_cur, *pid_max);
  host.memory_is_executable = (files.f_flag & ST_NOEXEC) == 0;
  host.address_space = soft_limit(RLIMIT_AS);
  host.data = soft_limit(RLIMIT_DATA);
  host.file_size = soft_limit(RLIMIT_FSIZE);
  return host;
}

Result<HostResources> measure_host_and_user(const std::filesystem::path& memory_folder) {
  auto host = measure_host(memory_folder);
  if (host && ::geteuid() != 0) host->processes_used = threads_of_user();
  return host;
}

Bytes predicted_memory(const MachinePlan& machine) {
  if (machine.backend == "xen")
    return machine.hardware.chipset == backends::Chipset::pc ? kXenPcMemory : kXenMemory;
  if (serves_boot(machine.roles)) return machine.memory;
  const bool is_qemu = machine.backend == "qemu" || machine.backend == "libvirt";
  return std::min(machine.memory, is_qemu ? kPcMemory : kClientMemory);
}

PredictedUse predict_use(const LabPlan& plan) {
  PredictedUse use;
  use.descriptors = kDescriptorsOfOurs;
  use.address_space = kOurAddressSpace;
  use.data = kOurData;
  for (const MachinePlan& machine : plan.machines) {
    use.memory.count += predicted_memory(machine).count;
    if (has_memory_file(machine)) {
      use.memory_files.count += predicted_memory(machine).count;
      use.address_space.count += machine.memory.count;
      use.largest_file = std::max(use.largest_file, machine.memory);
      use.runs_from_memory = true;
    }
    use.descriptors += kDescriptorsPerMachine;
    use.processes += serves_boot(machine.roles) ? kProcessesOfBootServer : kProcessesPerClient;
  }
  return use;
}

Status check_fits(const LabPlan& plan, const HostResources& host) {
  const PredictedUse use = predict_use(plan);
  const std::size_t machines = plan.machines.size();
  std::string why;
  const auto memory_short = [&](Bytes used, Bytes there, const char* where, const char* advice) {
    if (used.count == 0 || used.count + kMemoryReserve.count <= there.count) return;
    why += fmt::format(
        "\n  memory: {} machines are predicted to use {} MiB ({} MiB a client, {} MiB one of QEMU's or "
        "libvirt's, the boot server what it is promised), and {} MiB stay in reserve; {} has {} MiB: {}",
        machines, mib(used), mib(kClientMemory), mib(kPcMemory), mib(kMemoryReserve), where, mib(there),
        advice);
  };
  memory_short(use.memory, host.memory_available, "the host", "start fewer machines (--nodes)");
  memory_short(use.memory_files, host.memory_files_free, "/dev/shm, where guest memory lies,",
               "start fewer machines, or give it more (mount -o remount,size=90% /dev/shm)");
  if (use.descriptors > host.descriptors) {
    why += fmt::format(
        "\n  open descriptors: {} machines need {} ({} each, and {}), and this user may have {}: raise the "
        "hard limit (ulimit -Hn), or start fewer machines",
        machines, use.descriptors, kDescriptorsPerMachine, kDescriptorsOfOurs, host.descriptors);
  }
  if (use.processes + host.processes_used > host.processes) {
    why += fmt::format(
        "\n  processes: {} machines need up to {} ({} a client, {} the boot server), and this user may have "
        "{}{}: raise the limit (ulimit -u, kernel.pid_max), or start fewer machines",
        machines, use.processes, kProcessesPerClient, kProcessesOfBootServer, host.processes,
        host.processes_used > 0 ? fmt::format(" and has {}", host.processes_used) : "");
  }
  for (const std::string& one : obstacles(use, host)) why += "\n  " + one;
  if (why.empty()) return {};
  return fail("the lab " + plan.name + " does not fit this host:" + why);
}

std::vector<std::string> obstacles(const PredictedUse& use, const HostResources& host) {
  std::vector<std::string> all;
  if (use.runs_from_memory && !host.memory_is_executable) {
    all.push_back(
        "/dev/shm is mounted noexec, and machines run what lies in their memory, which is there: mount -o "
        "remount,exec /dev/shm");
  }
  const auto limit = [&](const char* what, const char* option, std::optional<Bytes> there, Bytes wanted) {
    if (!there || there->count >= wanted.count) return;
    all.push_back(fmt::format("{}: the limit is {} MiB, and {} MiB are needed: ulimit {} unlimited", what,
                              mib(*there), mib(wanted), option));
  };
  limit("address space", "-v", host.address_space, use.address_space);
  limit("data of a process", "-d", host.data, use.data);
  limit("size of a file", "-f", host.file_size, use.largest_file);
  return all;
}

Status check_own_limits() {
  HostResources host;
  host.address_space = soft_limit(RLIMIT_AS);
  host.data = soft_limit(RLIMIT_DATA);
  PredictedUse use;
  use.address_space = kOurAddressSpace;
  use.data = kOurData;
  const auto in_the_way = obstacles(use, host);
  if (in_the_way.empty()) return {};
  return fail(
      fmt::format("no lab can run under the limits of this shell:\n  {}", fmt::join(in_the_way, "\n  ")));
}

std::optional<std::string> hindrance(const MachinePlan& machine, const HostResources& host) {
  const bool in_files = has_memory_file(machine) && host.memory_files_free < host.memory_available;
  const Bytes left = in_files ? host.memory_files_free : host.memory_available;
  const std::uint64_t needed = predicted_memory(machine).count + kMemoryReserve.count;
  if (needed <= left.count) return std::nullopt;
  return fmt::format(
      "not started: it is predicted to use {} MiB and {} MiB stay in reserve, and the host has only {} MiB "
      "left ({})",
      mib(predicted_memory(machine)), mib(kMemoryReserve), mib(left), in_files ? "in /dev/shm" : "of memory");
}

Status raise_descriptor_limit(const LabPlan& plan) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= predict_use(plan).descriptors) return {};
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    return fail_errno("cannot raise the limit of open descriptors");
  return {};
}

}  // namespace rookery::vboot
