// Any bytes as a manifest: refused with words, or taken, and then written and read again without change.
#include <cstdlib>

#include "images/store/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  const auto manifest = images::parse_manifest(as_text({data, size}));
  if (!manifest) return manifest.error().message.empty() ? std::abort(), 0 : 0;
  const auto again = images::parse_manifest(images::to_json(*manifest));
  if (!again || !(*again == *manifest)) std::abort();
  return 0;
}
