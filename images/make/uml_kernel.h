// The User-Mode Linux kernels of an image, by images/make/kernel/build: at once if there is one, otherwise in
// some minutes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"
#include "images/make/debian_system.h"

namespace rookery::images {

struct UmlKernel {
  std::filesystem::path program;  // a static one
  std::string release;
  Digest256 digest{};
};

struct UmlKernelWish {
  std::filesystem::path recipes;  // the folder images/make of the sources
  bool storage = false;           // with iSCSI and NFS
  bool refresh = false;           // look for a newer source
  int stop = -1;                  // Command's
};

Result<UmlKernel> make_uml_kernel(const UmlKernelWish& wish, const Progress& progress);

}  // namespace rookery::images
