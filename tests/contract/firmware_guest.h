// Guests of the contract for hypervisors that are PCs: a firmware of some 200 bytes, which works even where a
// KVM crawls so that no Linux would ever boot.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "tests/contract/backend_contract.h"

namespace rookery::contract {

// Why it cannot be made here, or nothing.
std::optional<std::string> firmware_unavailable();
// Writes `firmware` into a folder; throws if that does not work. As a `sector`, one that Xen's own firmware
// boots from a disk.
void assemble_firmware(const std::filesystem::path& folder, Guest guest, bool sector = false);
// The processes, but for the dead, of which some word begins with that; for a message.
std::string processes_with_word(const std::string& prefix);

}  // namespace rookery::contract
