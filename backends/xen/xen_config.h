// What a domain is, as data: the JSON form of libxl_domain_config, which libxl itself reads
// (libxl_domain_config_from_json). Pure, compared with golden files (tests/golden/xen).
#pragma once

#include <string>

#include "backends/backend.h"

namespace rookery::backends {

// Where in xenstore, below its own path, a domain of ours says whose it is: the folder of its machine.
inline constexpr const char* kXenOwnerKey = "rookery";
// Every domain of ours has a name that begins so.
inline constexpr std::string_view kXenNamePrefix = "rookery-";
// In the machine's folder: the script that brings up a virtual interface (see xen_config.cc).
inline constexpr const char* kVifScriptName = "vif-up";
extern const std::string_view kVifScript;
// Why a machine of the chipset pvh has no disk: Linux takes no CD there (drivers/block/xen-blkfront.c), and
// what dom0's QEMU serves for reading only must be one (see xen_config.cc).
inline constexpr std::string_view kNoPvhDisk =
    "under Xen a pvh machine has no disk that is only read; use chipset: pv, or none";

// Paravirtual machines have interfaces in dom0; fully virtual ones speak to our sockets.
bool is_paravirtual(const Hardware& hardware);

// The domain's name on the host, where machines of several labs have the same: it holds some of the folder's
// digest.
std::string xen_domain_name(const MachineSpec& spec);

// A machine that cannot be is an Error of kind usage.
Result<std::string> xen_domain_config(const MachineSpec& spec);

}  // namespace rookery::backends
