// What the builder of a medium and the machine that starts from it both have to know of it.
#pragma once

#include <string_view>

namespace rookery {

// On the medium: digests as sha256sum prints them, of its manifest and of its root.squashfs.
inline constexpr std::string_view kMediumManifestDigest = "rookery/manifest.sha256";
inline constexpr std::string_view kMediumRootDigest = "rookery/root.sha256";
// The console's line of a medium that is found damaged begins with this, whoever found it: GRUB or the second
// stage.
inline constexpr std::string_view kMediumDamaged = "Rookery: the medium is damaged";

}  // namespace rookery
