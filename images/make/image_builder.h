// Builds an image into the store: a distribution's system as one squashfs, one more for the packages of each
// role that has some, the kernels, the early modules, the two initramfs stages, and the medium that holds
// them all. Each step is kept and done again only when what it is made of has changed; build_image() with
// nothing changed returns at once.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "images/make/debian_system.h"
#include "images/make/image_file.h"
#include "images/make/layer.h"
#include "images/store/manifest.h"
#include "images/store/store.h"

namespace rookery::images {

struct BuildOptions {
  std::string name = "debian-12";
  std::filesystem::path recipes;  // the folder images/make of the sources: kernel/build and rootfs are in it
  std::filesystem::path guest;    // the static program rookery-guest: both stages and the agent
  std::vector<ImageFile> extra_files;  // laid into the root, over what is there
  DebianRecipe debian;
  std::vector<LayerRecipe> layers;  // of the roles that have packages
  bool storage = false;             // with the kernel for roots by iSCSI and NFS
  bool force = false;               // do every step again, but take the system and the kernels that are there
  bool refresh = false;         // make system and layers of today's packages, and kernels of today's source
  int stop = -1;                // Command's: the build ends with an Error, and nothing of it is left
  std::filesystem::path cache;  // the folder for what is made on the way: cache_folder()
};

struct BuiltImage {
  Manifest manifest;
  std::filesystem::path medium;  // in the store
  bool was_there = false;        // nothing had changed
};

// `progress` is called by several threads, but never at the same time; no step is silent for longer than 20
// seconds.
Result<BuiltImage> build_image(const BuildOptions& options, const Store& store, const Progress& progress);

}  // namespace rookery::images
