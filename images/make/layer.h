// The packages of a role as a layer: what a system with them has and the base system has not, or has
// otherwise.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "images/make/image_file.h"

namespace rookery::images {

struct LayerRecipe {
  std::string role;
  std::vector<std::string> packages;
};

// Writes the difference of two systems' tars. Not in it: what belongs to no image, `ours` (files that the
// image has of its own), and what differs by its date alone. Of the lists that packages share it has the
// records that were added (shared_lists.h), under the layer's name. A file that the base has and the other
// has not is covered by an overlay's whiteout; a package that is gone is an Error. No file is dated later
// than `date`.
Status make_layer_tree(std::string_view name, const std::filesystem::path& base_tar,
                       const std::filesystem::path& extended_tar, const std::vector<ImageFile>& ours,
                       std::int64_t date, const std::filesystem::path& destination);

}  // namespace rookery::images
