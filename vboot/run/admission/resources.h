// Whether a lab fits this host, with the arithmetic, before anything starts. Machines are promised more
// memory than they use, so what is counted is what they are known to use, not their ceiling.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "vboot/lab/lab_plan.h"

namespace rookery::vboot {

// What the host has for us now.
struct HostResources {
  Bytes memory_available;  // /proc/meminfo, MemAvailable
  Bytes
      memory_files_free;  // of the tmpfs that guest memory lies on: a guest that finds it full dies by SIGBUS
  std::uint64_t descriptors = 0;     // the hard limit of open descriptors (RLIMIT_NOFILE)
  std::uint64_t processes = 0;       // that this user may have (RLIMIT_NPROC, pid_max)
  std::uint64_t processes_used = 0;  // that this user has: threads, as the kernel counts; root may always
  // Limits that a shell gives (ulimit -v, -d, -f); none: without limit.
  std::optional<Bytes> address_space{}, data{}, file_size{};
  bool memory_is_executable = true;  // the tmpfs is not mounted noexec: guests run what lies in their memory
};
// Without processes_used, which takes a while: for looking again and again.
Result<HostResources> measure_host(const std::filesystem::path& memory_folder);
Result<HostResources> measure_host_and_user(const std::filesystem::path& memory_folder);

// What a plan is predicted to use (see resources.cc for where the numbers come from).
struct PredictedUse {
  Bytes memory;
  Bytes memory_files;   // of that, on the tmpfs: guests of User-Mode Linux have theirs in files
  Bytes address_space;  // of the supervisor, which sees all memory of the guests that it serves
  Bytes data;           // of it, what is nobody's but its own
  Bytes largest_file;   // a guest's memory, as it is promised
  std::uint64_t descriptors = 0;
  std::uint64_t processes = 0;
  bool runs_from_memory = false;  // it has guests whose code lies on the tmpfs
};
PredictedUse predict_use(const LabPlan& plan);
// Left for the host and whatever else runs there.
inline constexpr Bytes kMemoryReserve = mebibytes(256);
// Of one machine that has been up for a while.
Bytes predicted_memory(const MachinePlan& machine);

// Nothing, or why the plan does not fit: each shortage with its arithmetic and what to do about it.
Status check_fits(const LabPlan& plan, const HostResources& host);

// While a lab comes up: why this machine must not be started now, or nothing. Looks at the host again,
// because others use it too, and a full tmpfs kills guests that already run.
std::optional<std::string> hindrance(const MachinePlan& machine, const HostResources& host);

// The same for the supervisor alone, whatever the lab: before it does anything.
Status check_own_limits();

// What has nothing to do with how much there is: a mount or a limit of the shell under which no
// machine of a lab can live. Each with its remedy.
std::vector<std::string> obstacles(const PredictedUse& use, const HostResources& host);

// Raises our limit of open descriptors to what the plan needs; check_fits() has seen that it can.
Status raise_descriptor_limit(const LabPlan& plan);

}  // namespace rookery::vboot
