#include "guest/program/layers.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "base/unique_fd.h"
#include "guest/program/medium.h"
#include "guest/program/share.h"
#include "guest/program/system.h"
#include "guest/storage/shared_lists.h"

namespace rookery::guest {
namespace {

// The system's own busybox reads it, once, from beginning to end; what it read is not kept in memory.
Status check_digest(const std::string& device, const std::string& sha256) {
  constexpr const char* kList = "/run/rookery/layer.sha256";
  ROOKERY_TRY(write_text(kList, sha256 + "  " + device + "\n"));
  const Status checked =
      run_program({std::string(kLowerFolder) + "/usr/bin/busybox", "sha256sum", "-s", "-c", kList},
                  std::chrono::minutes(10));
  unlink(kList);
  const UniqueFd block(open(device.c_str(), O_RDONLY | O_CLOEXEC));
  if (block) ioctl(block.get(), BLKFLSBUF);
  if (!checked) return fail("its digest is not " + sha256);
  return {};
}

Result<std::string> device_of(const agent::RoleLayer& layer) {
  const std::string on_medium = std::string(kMediumFolder) + "/rookery/" + layer.component;
  if (access(on_medium.c_str(), R_OK) == 0) return loop_device(on_medium);
  const Result<ipxe::BootUrl> url = ipxe::parse_url(layer.url);
  if (!url) return tl::unexpected<Error>(url.error());
  if (url->scheme != "nbd") return fail("a layer by '" + url->scheme + "' is not understood");
  Result<std::string> device = attach_nbd(*url);
  if (device) ROOKERY_TRY(check_digest(*device, layer.sha256));
  return device;
}

// With its owner and its mode.
Status replace_list(const std::string& path, std::string_view content) {
  struct stat before {};
  if (stat(path.c_str(), &before) != 0) before.st_mode = 0644;  // and root's
  ROOKERY_TRY(make_folders(path.substr(0, path.rfind('/'))));
  ROOKERY_TRY(write_text(path, content, before.st_mode & 07777));
  if (chown(path.c_str(), before.st_uid, before.st_gid) != 0) return fail_errno(path);
  return {};
}

}  // namespace

Result<std::string> mount_layers(const std::vector<agent::RoleLayer>& layers) {
  std::string folders = kLowerFolder;
  for (const agent::RoleLayer& layer : layers) {
    const auto doing = [&layer](const Error& error) {
      return tl::unexpected<Error>(Error(error).while_doing("layer " + layer.component));
    };
    if (const Status good = agent::check_role_layer(layer); !good) return doing(good.error());
    const Result<std::string> device = device_of(layer);
    if (!device) return doing(device.error());
    const std::string folder = "/run/rookery/layers/" + layer.component;
    if (const Status mounted = mount_at(device->c_str(), folder, "squashfs", MS_RDONLY); !mounted)
      return doing(mounted.error());
    folders = folder + ":" + folders;
  }
  return folders;
}

Status put_records_in(const std::vector<agent::RoleLayer>& layers) {
  for (const SharedList& list : shared_lists()) {
    const std::string path = "/" + std::string(list.path);
    std::optional<std::string> text;
    for (const agent::RoleLayer& layer : layers) {
      const Result<std::string> added =
          read_text("/" + std::string(kAddedRecords) + "/" + layer.component + path, kSharedListLimit);
      if (!added) continue;  // it adds none
      if (!text) text = read_text(path, kSharedListLimit).value_or("");
      Result<std::string> whole = with_records(list.kind, *text, *added);
      if (!whole) {
        return fail("layer " + layer.component + " cannot be laid over the others: in " + path + ", " +
                    whole.error().message);
      }
      text = std::move(*whole);
    }
    if (text) ROOKERY_TRY(replace_list(path, *text));
  }
  return {};
}

}  // namespace rookery::guest
