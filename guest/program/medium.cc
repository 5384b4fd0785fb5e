#include "guest/program/medium.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>

#include "base/unique_fd.h"
#include "guest/program/system.h"
#include "guest/protocol/medium_layout.h"

namespace rookery::guest {
namespace {

// USB has slow disks.
constexpr Duration kPatience = std::chrono::seconds(30);
constexpr const char* kBusybox = "/bin/busybox";

bool may_be_medium(const std::string& disk) {
  for (const char* kind : {"vd", "sd", "sr", "nvme", "xvd", "mmcblk", "etherd!"}) {
    if (disk.starts_with(kind)) return true;
  }
  return false;
}

// Without a busybox (User-Mode Linux), the host has looked.
bool has_digest(std::string_view digests, Duration limit) {
  const std::string file = std::string(kMediumFolder) + "/" + std::string(digests);
  return access(kBusybox, X_OK) != 0 || run_program({kBusybox, "sha256sum", "-s", "-c", file}, limit,
                                                    std::string(kMediumFolder) + "/rookery");
}

// Empty if the disk's file system is the medium that is wanted, otherwise why not.
std::string why_not(const std::string& disk, std::string_view wanted) {
  std::string device = "/dev/" + disk;
  std::replace(device.begin(), device.end(), '!', '/');  // as /sys writes names that have a '/'
  const Status mounted = mount_at(device.c_str(), kMediumFolder, "iso9660", MS_RDONLY | MS_NOSUID | MS_NODEV);
  if (!mounted) return mounted.error().message;
  const std::string folder = std::string(kMediumFolder) + "/rookery";
  const std::string digest = read_text(folder + "/manifest.sha256").value_or("").substr(0, 64);
  std::string why;
  if (access((folder + "/manifest.json").c_str(), R_OK) != 0) {
    why = "no /rookery/manifest.json";
  } else if (!wanted.empty() && digest != wanted) {
    why = "the medium of another image";
  } else if (!has_digest(kMediumManifestDigest, std::chrono::minutes(1))) {
    why = "its manifest.json is damaged";
  }
  if (!why.empty()) umount(kMediumFolder);
  return why;
}

}  // namespace

Status check_medium() {
  say("reading the whole medium, to see that it is as it was made");
  if (has_digest(kMediumRootDigest, std::chrono::minutes(30))) return {};
  return fail(std::string(kMediumDamaged) + ": its root.squashfs is not what it was made with");
}

Result<std::string> loop_device(const std::string& path) {
  const UniqueFd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control) return fail_errno("/dev/loop-control");
  const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
  if (number < 0) return fail_errno("a free loop device");
  const std::string device = "/dev/loop" + std::to_string(number);
  // Both read-only: a kernel without BLK_DEV_WRITE_MOUNTED mounts nothing that is open for writing.
  const UniqueFd loop(open(device.c_str(), O_RDONLY | O_CLOEXEC));
  if (!loop) return fail_errno(device);
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno(path);
  loop_config config{};
  config.fd = static_cast<__u32>(file.get());
  config.info.lo_flags = LO_FLAGS_READ_ONLY;
  if (ioctl(loop.get(), LOOP_CONFIGURE, &config) != 0) return fail_errno(device + " for " + path);
  return device;
}

Result<std::string> attach_medium(Devices& devices, std::string_view wanted) {
  const Time end = now() + kPatience;
  while (true) {
    std::string tried;
    for (const std::string& disk : list_folder("/sys/block")) {
      if (!may_be_medium(disk)) continue;
      const std::string why = why_not(disk, wanted);
      if (why.empty()) return loop_device(std::string(kMediumFolder) + "/rookery/root.squashfs");
      tried += (tried.empty() ? "" : ", ") + disk + " (" + why + ")";
    }
    if (devices.wait_for_more(end)) {
      devices.load_drivers();
      continue;
    }
    if (tried.empty()) {
      return fail(
          "the boot arguments name no share (rookery.share=), and there is no disk that could be a medium");
    }
    return fail("the boot arguments name no share (rookery.share=), and none of the disks holds a medium: " +
                tried);
  }
}

}  // namespace rookery::guest
