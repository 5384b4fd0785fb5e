// What a running lab tells programs: the objects that `up --json` and `ps --json` end with. Scripts rely on
// the keys (docs/commands.md); nothing is taken away from them.
#pragma once

#include "base/json/json.h"
#include "base/units.h"
#include "images/store/manifest.h"
#include "vboot/run/session/running_lab.h"

namespace rookery::vboot {

// What was booted and how, which does not change while a lab runs.
struct RunFacts {
  std::string version;  // of Rookery
  images::Manifest image;
  Digest256 image_digest{};
  std::string grade;  // "none": wall time
};

// The physical machines at the lab's uplink: [name (its MAC address), role, backend ("wire"), stage, …].
Json wire_machines(const RunningLab& lab, Time now);
// The machines that failed: [name, stage, reason].
Json failed_machines(const BootSummary& summary);
// up: lab, machines, ready, failed, seconds, memory_peak_bytes, boot_server_bytes, seed, grade, versions,
// digests.
Json up_report(const RunningLab& lab, const RunFacts& facts, Bytes memory_peak);
// ps: lab, supervisor_pid, seed, machines [name, role, backend, state, stage, address, …].
Json ps_report(const RunningLab& lab, const RunFacts& facts, pid_t supervisor, Time now);

}  // namespace rookery::vboot
