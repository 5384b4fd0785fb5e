#include "backends/libvirt/qemu_reaper.h"

#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "base/file.h"
#include "base/unique_fd.h"

namespace rookery::backends {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPid = ".pid";
// libvirt asks a QEMU what it can do in a folder of its own ("qmp-XXXXXX", src/qemu/qemu_process.c there).
constexpr const char* kProbe = "qmp-";
constexpr std::size_t kFoldersMost = 256;

void ended(int handle, int pidfd, int, void*) {
  siginfo_t info{};
  // Not our child: not our business.
  (void)::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG);
  virEventRemoveHandle(handle);
}

// The file may be told of before and after the number is in it, and twice: to wait for one process twice does
// no harm.
void await(const fs::path& pid_file) {
  const auto text = read_file(pid_file, Bytes{64});
  const int pid = text ? std::atoi(text->c_str()) : 0;
  auto pidfd = std::make_unique<UniqueFd>(pid > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)) : -1);
  if (!*pidfd) return;
  ::fcntl(pidfd->get(), F_SETFD, FD_CLOEXEC);
  if (virEventAddHandle(pidfd->get(), VIR_EVENT_HANDLE_READABLE, ended, pidfd.get(),
                        [](void* opaque) { delete static_cast<UniqueFd*>(opaque); }) >= 0)
    (void)pidfd.release();  // the loop's
}

// What is watched, until libvirt's loop lets go of it.
struct WatchedFolders {
  UniqueFd changes;
  std::map<int, fs::path> folders;  // by inotify's number

  // A process number in it may be older than the watch.
  void add(const fs::path& folder) {
    const int number = ::inotify_add_watch(changes.get(), folder.c_str(), IN_MODIFY | IN_CREATE);
    if (number < 0) return;  // it is gone again, and with it the process that was to be waited for
    folders[number] = folder;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder, none)) {
      if (entry.path().extension() == kPid) await(entry.path());
    }
  }

  void told(const inotify_event& event, const std::string& name) {
    const auto found = folders.find(event.wd);
    if (found == folders.end()) return;
    if ((event.mask & IN_IGNORED) != 0) {
      folders.erase(found);
    } else if ((event.mask & IN_ISDIR) != 0) {
      if (name.starts_with(kProbe) && folders.size() < kFoldersMost) add(found->second / name);
    } else if (name.ends_with(kPid)) {
      await(found->second / name);
    }
  }
};

void written(int, int fd, int, void* opaque) {
  alignas(inotify_event) std::array<char, 4096> events;
  const ssize_t got = ::read(fd, events.data(), events.size());
  for (ssize_t at = 0; at < got;) {
    inotify_event event{};
    std::memcpy(&event, events.data() + at, sizeof event);
    static_cast<WatchedFolders*>(opaque)->told(event, event.len > 0 ? events.data() + at + sizeof event : "");
    at += static_cast<ssize_t>(sizeof event + event.len);
  }
}

}  // namespace

Status QemuReaper::watch(const std::vector<fs::path>& folders) {
  stop();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // a first process of the host may take its time
  auto watched = std::make_unique<WatchedFolders>();
  watched->changes = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watched->changes) return fail_errno("cannot watch where libvirt has its QEMUs");
  for (const fs::path& folder : folders) watched->add(folder);
  handle_ = virEventAddHandle(watched->changes.get(), VIR_EVENT_HANDLE_READABLE, written, watched.get(),
                              [](void* opaque) { delete static_cast<WatchedFolders*>(opaque); });
  if (handle_ < 0) return fail("libvirt's loop watches no more");
  (void)watched.release();  // the loop's
  return {};
}

void QemuReaper::stop() {
  if (handle_ >= 0) virEventRemoveHandle(handle_);
  handle_ = -1;
}

}  // namespace rookery::backends
