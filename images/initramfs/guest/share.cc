#include "images/initramfs/guest/share.h"

namespace rookery::guest {

Result<std::string> attach_share(const std::string& text) {
  const Result<ipxe::BootUrl> url = ipxe::parse_url(text);
  if (!url) return tl::unexpected(url.error());
  if (url->scheme == "nbd") return attach_nbd(*url);
  return fail("a share by '" + url->scheme + "' is not understood");
}

}  // namespace rookery::guest
