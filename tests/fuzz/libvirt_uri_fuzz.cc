// Any text as a URI of libvirt: what is taken for one is written as it was read, and what is said to run here
// names no other host.
#include <cstdint>
#include <cstdlib>

#include "backends/libvirt/uri.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto uri = backends::parse_libvirt_uri(text);
  if (!uri) {
    if (uri.error().kind != ErrorKind::usage || uri.error().message.empty()) std::abort();
    return 0;
  }
  if (uri->runs_as_us() && !uri->host.empty()) std::abort();
  if (!uri->embed_root().empty() && (!uri->embedded() || uri->embed_root()[0] != '/')) std::abort();
  const std::string again = uri->text();
  // A question mark with nothing behind it, and a plus, go.
  if (again.size() > text.size() || !backends::parse_libvirt_uri(again) ||
      backends::parse_libvirt_uri(again)->text() != again)
    std::abort();
  return 0;
}
