// What firmware says on its console when it cannot boot: SeaBIOS, OVMF and iPXE, each in its own words. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vboot/watch/cause.h"

namespace rookery::vboot {

struct FirmwareSays {
  Cause cause = Cause::firmware_error;  // or nothing_to_boot
  std::string text;                     // its line, and what that means where it says only a number
};
// Of a console's lines, the last that tell; nothing if none does.
std::optional<FirmwareSays> firmware_says(const std::vector<std::string>& console);

// Of option 93 (IANA, "Processor Architecture Types"): "11 (UEFI on 64-bit ARM)".
std::string architecture_name(std::uint16_t number);

// What QEMU means that ends at once, by its own last words; empty if those say all there is.
std::string_view hypervisor_hint(std::string_view words);

}  // namespace rookery::vboot
