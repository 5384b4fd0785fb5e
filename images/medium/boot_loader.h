// How a medium boots by itself, as a disk and as a CD, by BIOS and by UEFI. GRUB is started by the firmware
// (from the first sector and kGrubBios, or from the file system kGrubUefi), finds the medium by its name,
// checks what it loads, and starts the image's kernel with the second stage and the early modules. Pure.
#pragma once

#include <string>
#include <string_view>

#include "images/store/manifest.h"

namespace rookery::images {

// What a kernel of the distribution is told on machines with firmware, wherever it was loaded from. They
// speak on a screen if there is one, and on the first serial port. Their timer is not tested against the
// processor's speed: an emulated machine on a busy host fails that, and panics.
inline constexpr std::string_view kFirmwareKernelWords =
    "console=tty0 console=ttyS0,115200 quiet panic=-1 no_timer_check";
// The boot argument that says which of several media is meant: the SHA-256 of its manifest.
inline constexpr std::string_view kMediumArgument = "rookery.medium";

// On the medium, beside GRUB's own parts.
inline constexpr std::string_view kBootMenu = "boot/grub/grub.cfg";
inline constexpr std::string_view kBootDigests = "boot/sha256";

// True if the image has all that its medium needs to boot by itself.
bool boots_by_itself(const Manifest& manifest);
// GRUB's script, and the digests (as sha256sum prints them) of what it loads. Of an image that boots.
std::string boot_menu(const Manifest& manifest);
std::string boot_digests(const Manifest& manifest);

}  // namespace rookery::images
