// From the tar of a freshly made system to what an image consists of: the tree that becomes the squashfs
// (without what belongs to the machine that built it, with our own files), its kernel, and the modules that
// are needed early.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "images/make/image_file.h"

namespace rookery::images {

// What make_root_tree() puts into its folder.
inline constexpr const char* kRootTarFile = "root.tar";
inline constexpr const char* kBusyboxFile = "busybox";  // the static one, for the initramfs
// Laid aside there, with paths as in a root of their own: what reaches an iSCSI disk.
inline constexpr const char* kSanFolder = "rookery-san";
// "package version" of each other package that was unpacked, not installed.
inline constexpr const char* kUnpackedNote = "rookery-unpacked";
// Left in the system's root by the builder: "package version date" of the kernel, which is unpacked, not
// installed.
inline constexpr const char* kKernelNote = "rookery-kernel";

struct RootTree {
  std::string kernel_version;
  Digest256 packages{};
  std::int64_t created = 0;  // the date of the kernel, the newest thing in it: no file is dated later
};

// Writes root.tar, vmlinuz, modules.cpio, san.cpio and busybox into `folder`. `files` replace what the system
// has in their places.
Result<RootTree> make_root_tree(const std::filesystem::path& system_tar, const std::vector<ImageFile>& files,
                                const std::filesystem::path& folder);

// False for what is not taken over: caches (Python's, too), logs, device nodes, the building machine's names
// and package sources.
bool belongs_in_image(std::string_view path, bool is_folder);
// "bin/x" is "usr/bin/x" in a merged /usr. An absolute path, an empty one or one with ".." is an error.
Result<std::string> place_in_root(std::string_view path);
// Over the sorted "name version" lines of what dpkg's status file has as installed, and `extra`.
Digest256 packages_digest(std::string_view dpkg_status, std::string_view extra);
// All files and links below a folder, by path.
Result<std::vector<ImageFile>> files_below(const std::filesystem::path& folder);

}  // namespace rookery::images
