#include "guest/program/share.h"

#include <sys/mount.h>

#include "guest/program/system.h"

namespace rookery::guest {
namespace {

constexpr const char* kNfsPort = "2049";        // IANA: nfs
constexpr const char* kNfsMountPort = "20048";  // IANA: mountd

// The kernel asks the server's mountd itself (nfs(5)). Version 3 has no state that a server could lose, and
// nobody writes: no locks.
Status mount_nfs(Devices& devices, const ipxe::BootUrl& url, const std::string& place) {
  devices.load("nfsv3");  // and with it nfs; the kernel itself finds no modprobe here
  const std::string source = url.host + ":" + url.path;
  const std::string options = "vers=3,proto=tcp,mountproto=tcp,nolock,hard,port=" +
                              (url.port != 0 ? std::to_string(url.port) : std::string(kNfsPort)) +
                              ",mountport=" + kNfsMountPort + ",addr=" + url.host;
  return mount_at(source.c_str(), place, "nfs", MS_RDONLY, options);
}

Result<std::string> attach(Devices& devices, const std::string& text, const Interface& nic) {
  const Result<std::optional<san::Target>> target = san::parse_target(text);
  if (!target) return tl::unexpected(target.error());
  if (*target) return attach_san(devices, **target, nic);
  const Result<ipxe::BootUrl> url = ipxe::parse_url(text);
  if (!url) return tl::unexpected(url.error());
  if (url->scheme == "nbd") return attach_nbd(*url);
  return fail("a share by '" + url->scheme + "' is not understood");
}

}  // namespace

Status mount_share(Devices& devices, const std::string& text, const Interface& nic,
                   const std::string& place) {
  if (const Result<ipxe::BootUrl> url = ipxe::parse_url(text); url && url->scheme == "nfs") {
    const Status mounted = mount_nfs(devices, *url, place);
    return mounted ? mounted : fail(text + ": " + mounted.error().message);
  }
  const Result<std::string> device = attach(devices, text, nic);
  if (!device) return tl::unexpected(device.error());
  const Status mounted = mount_at(device->c_str(), place, "squashfs", MS_RDONLY);
  if (!mounted) return fail("the share is no squashfs that this kernel reads: " + mounted.error().message);
  return {};
}

}  // namespace rookery::guest
