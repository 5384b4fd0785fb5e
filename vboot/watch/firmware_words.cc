#include "vboot/watch/firmware_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace rookery::vboot {
namespace {

struct Meaning {
  std::string_view word, meaning;
};

bool has(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

// Intel's PXE specification 2.1, appendix, as far as EDK II says them (MdeModulePkg and NetworkPkg,
// UefiPxeBcDxe), and the ROMs of network cards.
constexpr Meaning kPxe[] = {
    {"PXE-E16", "no DHCP server offered an address and something to boot"},
    {"PXE-E18", "the server that it was to boot from did not answer"},
    {"PXE-E23", "the TFTP server answered with an error"},
    {"PXE-E11", "nobody answered its ARP questions"},
    {"PXE-E32", "TFTP began, and nothing came any more"},
    {"PXE-E51", "no DHCP server offered an address"},
    {"PXE-E53", "the DHCP server names no boot file"},
    {"PXE-E61", "its NIC has no link"},
    {"PXE-E99", "an error that it has no words for"},
};

// iPXE's numbers: the first two digits are the kind of error (its include/errno.h), the rest tells the place.
constexpr Meaning kIpxe[] = {
    {"040ee119", "no way to configure its NIC succeeded: no DHCP server answered, or the link came up late"},
    {"38086193", "its NIC has no link"},
    {"02", "permission denied"},
    {"0f", "the connection was reset, or refused"},
    {"2d", "a file is not there, or no boot file was named"},
    {"2e", "what was fetched is nothing that it can start"},
    {"31", "out of memory"},
    {"3c", "not supported by this iPXE"},
    {"3e", "no such device or address, as when a name cannot be resolved"},
    {"4c", "timed out: nobody answered"},
};

constexpr std::string_view kNothing[] = {
    "No bootable device",                      // SeaBIOS, src/boot.c
    "No bootable option or device was found",  // EDK II, BdsDxe
    "No more network devices",                 // iPXE, usr/autoboot.c
    "Boot failed: could not read the boot disk",
};

std::string_view ipxe_number(std::string_view line) {
  constexpr std::string_view kPlace = "ipxe.org/";
  const std::size_t at = line.find(kPlace);
  if (at == std::string_view::npos) return {};
  const std::string_view number = line.substr(at + kPlace.size(), 8);
  const bool good = number.size() == 8 && std::all_of(number.begin(), number.end(), [](char c) {
                      return std::isxdigit(static_cast<unsigned char>(c)) != 0;
                    });
  return good ? number : std::string_view{};
}

// A line of a console, without what stands before or behind it for a terminal.
std::string trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" .\t"), last = line.find_last_not_of(" \t");
  return first == std::string_view::npos ? "" : std::string(line.substr(first, last - first + 1));
}

std::optional<std::string> error_in(const std::string& line) {
  if (const std::string_view number = ipxe_number(line); !number.empty()) {
    for (const Meaning& one : kIpxe) {
      if (number.starts_with(one.word)) return fmt::format("{} ({})", trimmed(line), one.meaning);
    }
    return trimmed(line);
  }
  for (const Meaning& one : kPxe) {
    if (has(line, one.word)) return fmt::format("{} ({})", trimmed(line), one.meaning);
  }
  if (has(line, "PXE-E") || has(line, "BdsDxe: failed to ")) return trimmed(line);
  return std::nullopt;
}

}  // namespace

std::optional<FirmwareSays> firmware_says(const std::vector<std::string>& console) {
  std::optional<std::string> error, nothing;
  for (const std::string& line : console) {
    if (auto found = error_in(line)) error = std::move(found);
    if (std::any_of(std::begin(kNothing), std::end(kNothing), [&](auto words) { return has(line, words); }))
      nothing = trimmed(line);
  }
  if (error) return FirmwareSays{Cause::firmware_error, *error + (nothing ? " | " + *nothing : "")};
  if (nothing) return FirmwareSays{Cause::nothing_to_boot, *nothing};
  return std::nullopt;
}

std::string architecture_name(std::uint16_t number) {
  const std::string_view name = [&]() -> std::string_view {
    switch (number) {
      case 0:
        return "x86 BIOS";
      case 2:
        return "EFI on Itanium";
      case 6:
        return "UEFI on 32-bit x86";
      case 7:
      case 9:
        return "UEFI on 64-bit x86";
      case 10:
        return "UEFI on 32-bit ARM";
      case 11:
        return "UEFI on 64-bit ARM";
      case 15:
        return "UEFI HTTP boot on 32-bit x86";
      case 16:
        return "UEFI HTTP boot on 64-bit x86";
      case 18:
        return "UEFI HTTP boot on 32-bit ARM";
      case 19:
        return "UEFI HTTP boot on 64-bit ARM";
      case 27:
        return "UEFI on 64-bit RISC-V";
      default:
        return "of no name here";
    }
  }();
  return fmt::format("{} ({})", number, name);
}

// Words of QEMU 7 to 10: softmmu/vl.c, qdev-monitor.c, qom/object.c, util/qemu-sockets.c.
std::string_view hypervisor_hint(std::string_view words) {
  for (const std::string_view unknown :
       {"invalid option", "is not a valid device model name", "not found", "Invalid parameter", "unexpected",
        "Parameter '", "unsupported machine type", "unknown netdev"}) {
    if (has(words, unknown))
      return "this QEMU does not know what it was told: it is too old for it, or the word is wrong";
  }
  for (const std::string_view absent : {"Connection refused", "Failed to connect"}) {
    if (has(words, absent)) return "nobody answers at a port that it was told to connect to";
  }
  for (const std::string_view file :
       {"could not load", "Could not open", "could not open", "No such file or directory"}) {
    if (has(words, file)) return "a file that it was told to use cannot be used";
  }
  return {};
}

}  // namespace rookery::vboot
