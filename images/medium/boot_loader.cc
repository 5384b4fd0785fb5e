#include "images/medium/boot_loader.h"

#include <algorithm>
#include <array>

#include "guest/protocol/medium_layout.h"
#include "images/medium/medium.h"

namespace rookery::images {
namespace {

constexpr std::array kLoaded{kVmlinuz, kStageTwoCpio, kModulesCpio};
constexpr std::array kLoaders{kGrubMbr, kGrubBios, kGrubUefi};

}  // namespace

bool boots_by_itself(const Manifest& manifest) {
  const auto has = [&](std::string_view name) { return manifest.find(name) != nullptr; };
  return std::all_of(kLoaded.begin(), kLoaded.end(), has) &&
         std::all_of(kLoaders.begin(), kLoaders.end(), has);
}

// Of what a manifest says only the name stands here, which has no character that means something to GRUB.
std::string boot_menu(const Manifest& manifest) {
  std::string script = "# Made with the medium, and for this one only.\n";
  script += "echo \"Rookery: the medium of the image " + manifest.name + "\"\n";
  script += "if hashsum --hash sha256 --check /" + std::string(kBootDigests) + " --prefix /rookery; then\n";
  script += "  linux /rookery/vmlinuz " + std::string(kFirmwareKernelWords) + " " +
            std::string(kMediumArgument) + "=" + to_hex(digest_of(manifest)) + "\n";
  // With what it takes to find the medium again if firmware reached it over a network.
  script += "  initrd /rookery/stage2.cpio /rookery/modules.cpio";
  script += manifest.find(kSanCpio) != nullptr ? " /rookery/san.cpio\n  boot\n" : "\n  boot\n";
  script += "  echo \"Rookery: the medium's kernel does not start\"\nelse\n";
  script += "  echo \"" + std::string(kMediumDamaged) + ": see above\"\nfi\n";
  // Long enough to be read from a screen.
  return script + "sleep 10\nhalt\n";
}

std::string boot_digests(const Manifest& manifest) {
  std::string lines;
  for (const std::string_view name : {kVmlinuz, kStageTwoCpio, kModulesCpio, kSanCpio}) {
    if (const Component* part = manifest.find(name))
      lines += to_hex(part->sha256) + "  " + std::string(name) + "\n";
  }
  return lines;
}

}  // namespace rookery::images
