// A disk that one machine may write at a time: who claims it is written down in the disk itself (SCSI
// persistent reservations, SPC-4 §5.13), so that the target keeps everybody else from writing, whatever they
// run.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace rookery::guest {

// Claims the disk for the machine with that IPv4 address, also anew after a reset. Gives the address of the
// machine that has it: our own if the claim was granted.
Result<std::string> claim_disk(const std::string& device, const std::string& address);

}  // namespace rookery::guest
