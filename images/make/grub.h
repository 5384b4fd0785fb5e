// Assembles what starts a medium (images/medium/boot_loader.h) of Debian's packaged GRUB, as an ordinary
// user. What is to be run is computed as data; the same packages give the same bytes.
#pragma once

#include <filesystem>
#include <vector>

#include "base/command.h"
#include "base/digest.h"
#include "base/result.h"

namespace rookery::images {

// Known by GRUB's own kernels, which differ with each release.
Result<Digest256> grub_digest();
// Writes grub-mbr, grub-bios and grub-uefi into `folder`; all that has a date is dated `date`.
Status make_boot_loader(const std::filesystem::path& folder, std::int64_t date);
// What make_boot_loader() runs, in this order.
std::vector<Command> boot_loader_commands(const std::filesystem::path& folder, std::int64_t date);

}  // namespace rookery::images
