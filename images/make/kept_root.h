// What is kept of a root that was made, so that it need not be made again: its parts lie in the store, and a
// small file tells of them and of the tree that they came from.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/digest.h"
#include "base/result.h"
#include "base/units.h"
#include "images/make/root_tree.h"
#include "images/store/store.h"

namespace rookery::images {

// One part of an image: an object of the store, and its size.
struct Part {
  Digest256 sha256{};
  Bytes size;
};
using Parts = std::map<std::string, Part, std::less<>>;  // by component name

struct KeptRoot {
  RootTree tree;
  Parts parts;
};

// Nothing if there is none in `folder`, if it is damaged, or if a part was pruned away: then it has to be
// made again.
std::optional<KeptRoot> read_kept_root(const std::filesystem::path& folder, const Store& store);
Status write_kept_root(const std::filesystem::path& folder, const KeptRoot& root);

}  // namespace rookery::images
