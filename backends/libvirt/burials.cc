#include "backends/libvirt/burials.h"

#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/file.h"
#include "base/unique_fd.h"

namespace rookery::backends {
namespace {

namespace fs = std::filesystem;

void ended(int handle, int pidfd, int, void*) {
  siginfo_t info{};
  // Not our child: not our business.
  (void)::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG);
  virEventRemoveHandle(handle);
}

void close_pidfd(void* pidfd) {
  ::close(static_cast<int>(reinterpret_cast<std::intptr_t>(pidfd)));
}

// The file may be told of before and after the number is in it, and twice: one grave too many does no harm.
void await(const fs::path& pid_file) {
  const auto text = read_file(pid_file, Bytes{64});
  const int pid = text ? std::atoi(text->c_str()) : 0;
  const int pidfd = pid > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)) : -1;
  if (pidfd < 0) return;
  ::fcntl(pidfd, F_SETFD, FD_CLOEXEC);
  if (virEventAddHandle(pidfd, VIR_EVENT_HANDLE_READABLE, ended,
                        reinterpret_cast<void*>(std::intptr_t{pidfd}), close_pidfd) < 0)
    ::close(pidfd);
}

// What is watched, until libvirt's loop lets go of it.
struct Folder {
  fs::path path;
  UniqueFd changes;
};

void written(int, int fd, int, void* opaque) {
  alignas(inotify_event) std::array<char, 4096> events;
  const ssize_t got = ::read(fd, events.data(), events.size());
  for (ssize_t at = 0; at < got;) {
    inotify_event event{};
    std::memcpy(&event, events.data() + at, sizeof event);
    const std::string name = event.len > 0 ? events.data() + at + sizeof event : "";
    if (name.ends_with(".pid")) await(static_cast<Folder*>(opaque)->path / name);
    at += static_cast<ssize_t>(sizeof event + event.len);
  }
}

}  // namespace

Status Burials::watch(const fs::path& folder) {
  stop();
  auto watched =
      std::make_unique<Folder>(Folder{folder, UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK))});
  const int fd = watched->changes.get();
  if (::inotify_add_watch(fd, folder.c_str(), IN_MODIFY) < 0)
    return fail_errno("cannot watch " + folder.string());
  handle_ = virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE, written, watched.get(),
                              [](void* opaque) { delete static_cast<Folder*>(opaque); });
  if (handle_ < 0) return fail("libvirt's loop watches no more");
  (void)watched.release();  // the loop's
  return {};
}

void Burials::stop() {
  if (handle_ >= 0) virEventRemoveHandle(handle_);
  handle_ = -1;
}

}  // namespace rookery::backends
