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
  // Of every machine. What only some need is in layers of their roles (layer.h).
  std::vector<std::string> packages = {
      "busybox-static",  "curl",           "iproute2",       "kmod",    "libisns0",
      "libopeniscsiusr", "openssh-client", "openssh-server", "openssl", "procps"};
  // An initiator: unpacked, not installed, for what it would draw in beside the libraries above (udev) is for
  // setting it up by hand.
  std::vector<std::string> unpacked = {"open-iscsi"};
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

// The same for the system of `base_tar` (not compressed) with the packages of a role installed. Users and
// groups that these make have numbers that depend on the role's name, so that those of two roles can meet on
// one machine.
std::vector<std::string> extend_command(const DebianRecipe& recipe, std::string_view role,
                                        const std::vector<std::string>& packages, bool as_root,
                                        const std::vector<std::string>& apt_options,
                                        const std::filesystem::path& base_tar,
                                        const std::filesystem::path& sources,
                                        const std::filesystem::path& destination);

// Whether /etc/subuid or /etc/subgid (`entries`) gives that user, by name or number, enough ids for a whole
// system.
bool has_subordinate_ids(std::string_view entries, std::string_view user, unsigned uid);

// Makes it: takes about half a minute, and the network. `stop` is Command's.
Status make_debian_system(const DebianRecipe& recipe, const std::filesystem::path& destination,
                          const Progress& progress, int stop = -1);

// The system of `base_tar` with the packages of a role.
Status extend_debian_system(const DebianRecipe& recipe, std::string_view role,
                            const std::vector<std::string>& packages, const std::filesystem::path& base_tar,
                            const std::filesystem::path& destination, const Progress& progress,
                            int stop = -1);

}  // namespace rookery::images
