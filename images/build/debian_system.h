// Makes a small Debian as a tar, with mmdebstrap: as an ordinary user by way of subordinate ids, as root
// directly. What is to be run is computed as data; making it is one thin step.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rookery::images {

// Takes one line of progress.
using Progress = std::function<void(std::string_view)>;

struct DebianRecipe {
  std::string id = "debian";
  std::string version = "12";
  std::string suite = "bookworm";
  std::vector<std::string> packages = {
      "busybox-static", "curl",      "dnsmasq-base",   "iproute2",       "ipxe",
      "kmod",           "libaio1",   "libibverbs1",    "libisns0",       "libopeniscsiusr",
      "librdmacm1",     "libtirpc3", "libwrap0",       "lighttpd",       "lighttpd-mod-openssl",
      "media-types",    "nbdkit",    "openssh-client", "openssh-server", "openssl",
      "procps",         "rpcbind"};
  // Storage servers and an initiator: unpacked, not installed, for what they would draw in beside the
  // libraries above (Python, Perl, udev) is for setting them up by hand.
  std::vector<std::string> unpacked = {"nfs-kernel-server", "open-iscsi", "tgt", "vblade"};
  std::string kernel =
      "linux-image-amd64";  // unpacked, not installed: installed, it wants an initramfs generator
};

// The "deb …" lines for the suite, its updates and its security fixes, from what apt is configured with on
// this machine; `index_targets` is what `apt-get indextargets` prints in kIndexTargetsFormat.
inline constexpr const char* kIndexTargetsFormat = "$(CREATED_BY) $(COMPONENT) $(RELEASE) $(REPO_URI)";
Result<std::vector<std::string>> debian_sources(std::string_view index_targets, std::string_view suite);

std::vector<std::string> mmdebstrap_command(const DebianRecipe& recipe, bool as_root,
                                            const std::vector<std::string>& apt_options,
                                            const std::filesystem::path& sources,
                                            const std::filesystem::path& destination);

// Whether /etc/subuid or /etc/subgid (`entries`) gives that user, by name or number, enough ids for a whole
// system.
bool has_subordinate_ids(std::string_view entries, std::string_view user, unsigned uid);

// Makes it: takes about half a minute, and the network.
Status make_debian_system(const DebianRecipe& recipe, const std::filesystem::path& destination,
                          const Progress& progress);

}  // namespace rookery::images
