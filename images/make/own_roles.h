// Which roles beside the shipped ones an image has packages of, so that the next build of the image has them,
// too: a small file of lines "ROLE PACKAGE...".
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "images/make/layer.h"

namespace rookery::images {

// None if there is no such file; a line that is none of ours counts for nothing.
std::vector<LayerRecipe> read_own_roles(const std::filesystem::path& file);
Status write_own_roles(const std::filesystem::path& file, const std::vector<LayerRecipe>& roles);

}  // namespace rookery::images
