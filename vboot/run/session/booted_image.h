// What a lab boots, taken out of an image's medium and verified whole before anything starts.
#pragma once

#include <filesystem>
#include <string>

#include "base/digest.h"
#include "images/store/manifest.h"
#include "images/store/store.h"
#include "vboot/roles/roles.h"
#include "vboot/run/machine/node.h"

namespace rookery::vboot {

struct BootedImage {
  images::Manifest manifest;
  Digest256 digest{};            // of the manifest
  std::filesystem::path medium;  // the disk of machines that start from it
  BootFiles boot_server;         // kernel and second stage, out of the medium
  BootFiles client;              // kernel and virtual boot ROM, out of the medium
  BootFiles microvm;             // the same with the distribution's kernel and its modules, if it has one
  BootFiles microvm_server;      // likewise of boot_server

  ImageFacts facts() const;
};

// The image of that name. Reads its whole medium once, for a plan without the packages of roles that it does
// not have; an Error names what of it is damaged, or how to build it. The paths are good as long as the store
// is open.
Result<BootedImage> open_booted_image(const std::string& name, const images::Store& store,
                                      const LabPlan* plan = nullptr);

}  // namespace rookery::vboot
