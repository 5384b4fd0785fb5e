// Any bytes as a medium: opening it reads its directories and its manifest, and nothing may crash or run on.
// Run it with -malloc_limit_mb=8192: libarchive asks for as much memory as a directory says that it is long,
// up to 4 GiB, and touches only as much as MediumReader gives it.
#include "images/medium/medium.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static_cast<void>(rookery::images::manifest_on_medium({data, size}));
  return 0;
}
