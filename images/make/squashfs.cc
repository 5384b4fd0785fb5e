#include "images/make/squashfs.h"

#include <unistd.h>

#include "base/command.h"

namespace rookery::images {

namespace fs = std::filesystem;

std::vector<std::string> squashfs_command(bool as_root, const fs::path& tar, const fs::path& destination) {
  std::vector<std::string> argv;
  // mksquashfs gives the root folder of a tar to whoever runs it, whatever -root-uid says.
  if (!as_root) argv = {"unshare", "--map-root-user"};
  argv.insert(argv.end(), {"sh", "-c", "tar=$1; shift; exec \"$@\" <\"$tar\"", "sh", tar.string()});
  // 128 KiB is what squashfs reads and unpacks at a time: larger ones are 5 % smaller in all, but a client
  // that wants one page pays for the whole block. Level 9 is five times as fast to build as 15, for 7 % more,
  // and unpacks alike.
  // With the table that NFS needs to serve it, which is not the default for a tar.
  argv.insert(argv.end(),
              {"mksquashfs", "-", destination.string(), "-tar", "-comp", "zstd", "-Xcompression-level", "9",
               "-b", "128K", "-root-mode", "0755", "-exports", "-noappend", "-quiet", "-no-progress"});
  return argv;
}

Status make_squashfs(const fs::path& folder, const fs::path& tar, const fs::path& destination,
                     std::int64_t date, int stop) {
  Command command{squashfs_command(::geteuid() == 0, tar, destination), folder};
  // No date is later than this one, that of the root folder and of the file system itself too.
  command.environment["SOURCE_DATE_EPOCH"] = std::to_string(date);
  command.stop = stop;
  if (auto done = run_checked(command); !done) {
    return tl::unexpected<Error>(
        Error(done.error())
            .while_doing("packing the squashfs (mksquashfs of the Debian package squashfs-tools)"));
  }
  return {};
}

}  // namespace rookery::images
