#include "images/initramfs/guest/medium.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "images/initramfs/guest/system.h"

namespace rookery::guest {
namespace {

bool may_be_medium(const std::string& disk) {
  for (const char* kind : {"vd", "sd", "sr", "nvme", "xvd", "mmcblk"}) {
    if (disk.starts_with(kind)) return true;
  }
  return false;
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

}  // namespace

Result<std::string> attach_medium() {
  std::string tried;
  for (const std::string& disk : list_folder("/sys/block")) {
    if (!may_be_medium(disk)) continue;
    tried += (tried.empty() ? "" : ", ") + disk;
    const std::string device = "/dev/" + disk;
    const Status mounted =
        mount_at(device.c_str(), kMediumFolder, "iso9660", MS_RDONLY | MS_NOSUID | MS_NODEV);
    if (!mounted) {
      tried += " (" + mounted.error().message + ")";
      continue;
    }
    const std::string folder = std::string(kMediumFolder) + "/rookery";
    if (access((folder + "/manifest.json").c_str(), R_OK) != 0) {
      umount(kMediumFolder);
      tried += " (no /rookery/manifest.json)";
      continue;
    }
    return loop_device(folder + "/root.squashfs");
  }
  if (tried.empty()) {
    return fail(
        "the boot arguments name no share (rookery.share=), and there is no disk that could be a medium");
  }
  return fail("the boot arguments name no share (rookery.share=), and none of the disks holds a medium: " +
              tried);
}

}  // namespace rookery::guest
