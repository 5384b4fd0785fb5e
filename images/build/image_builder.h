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
#include "images/build/debian_system.h"
#include "images/build/image_file.h"
#include "images/build/layer.h"
#include "images/manifest.h"
#include "images/store.h"

namespace rookery::images {

struct BuildOptions {
  std::string name = "debian-12";
  std::filesystem::path
      recipes;                  // the folder "images" of the sources: kernel/build and build/rootfs are in it
  std::filesystem::path guest;  // the static program rookery-guest: both stages and the agent
  std::vector<ImageFile> extra_files;  // laid into the root, over what is there
  DebianRecipe debian;
  std::vector<LayerRecipe> layers;  // of the roles that have packages
  bool force = false;               // do every step again, but take the system that is already there
  bool refresh = false;             // make the system afresh, too, from today's packages
  std::filesystem::path cache;      // the folder for what is made on the way: cache_folder()
};

struct BuiltImage {
  Manifest manifest;
  std::filesystem::path medium;  // in the store
  bool was_there = false;        // nothing had changed
};

Result<BuiltImage> build_image(const BuildOptions& options, const Store& store, const Progress& progress);

// What turns the root's tar into the squashfs.
std::vector<std::string> squashfs_command(bool as_root, const std::filesystem::path& tar,
                                          const std::filesystem::path& destination);

// The folder with linux and kernel.json, by images/kernel/build (with `--storage`, if that is the variant):
// at once if there is one, otherwise in some minutes.
Result<std::filesystem::path> build_uml_kernel(const std::filesystem::path& recipes, const Progress& progress,
                                               std::string_view variant = {});

}  // namespace rookery::images
