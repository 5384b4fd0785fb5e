// The medium: one disk file (ISO 9660) that holds an image, and from which a boot server starts and nothing
// else. A Medium knows the manifest; it keeps no file open, and every reading of a component checks its
// digest. Errors name the file and the part of it that is wrong.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "images/store/manifest.h"
#include "images/store/store.h"

namespace rookery::images {

inline constexpr std::string_view kMediumVolume = "ROOKERY";
// On the medium: the manifest, its digest (guest/protocol/medium_layout.h), and the components beside them.
inline constexpr std::string_view kMediumManifest = "rookery/manifest.json";

class Medium {
 public:
  // Reads the manifest and checks its digest; not yet the components.
  static Result<Medium> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const Manifest& manifest() const { return manifest_; }

  // Reads the whole medium once and checks every component.
  Status verify() const;
  // The same single pass, which also brings those components into the store that are named and not there yet;
  // what is `left_out` nobody is going to read, and it does neither. The paths are the store's: they are good
  // as long as it is open.
  Result<std::map<std::string, std::filesystem::path>> unpack(
      const std::vector<std::string>& components, const Store& store,
      const std::vector<std::string>& left_out = {}) const;
  // One component into a file of its own, verified while it is written; a damaged one leaves no file.
  Status extract(std::string_view component, const std::filesystem::path& destination) const;

 private:
  Medium(std::filesystem::path path, Manifest manifest)
      : path_(std::move(path)), manifest_(std::move(manifest)) {}

  std::filesystem::path path_;
  Manifest manifest_;
};

// The manifest of a medium that is in memory.
Result<Manifest> manifest_on_medium(ByteView medium);

// Writes a medium of the components' files (by component name; symbolic links are followed) with xorriso. The
// same manifest and files give the same bytes.
Status write_medium(const Manifest& manifest, const std::map<std::string, std::filesystem::path>& files,
                    const std::filesystem::path& destination);
// What write_medium() runs; `folder` has what lies on a medium and is no component.
std::vector<std::string> medium_command(const Manifest& manifest,
                                        const std::map<std::string, std::filesystem::path>& files,
                                        const std::filesystem::path& folder,
                                        const std::filesystem::path& destination);

}  // namespace rookery::images
