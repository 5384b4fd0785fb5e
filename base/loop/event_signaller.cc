#include "base/loop/event_signaller.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>

namespace rookery {
namespace {

constexpr unsigned kUnread = 64;  // results that are kept until we take them

}  // namespace

Result<EventSignaller> EventSignaller::make() {
  UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return fail_errno("cannot open /dev/null");
  aio_context_t context = 0;
  if (::syscall(SYS_io_setup, kUnread, &context) != 0) {
    return fail_errno(errno == EAGAIN
                          ? "no room for asynchronous I/O, by which QEMU's network cards are told "
                            "of frames: raise fs.aio-max-nr (sysctl)"
                          : "this host has no asynchronous I/O (io_setup), by which QEMU's network "
                            "cards are told of frames");
  }
  return EventSignaller(std::move(null), context);
}

EventSignaller::~EventSignaller() {
  if (context_ != 0) ::syscall(SYS_io_destroy, context_);
}

void EventSignaller::signal(int event) {
  std::uint8_t nothing;
  iocb request{};
  request.aio_lio_opcode = IOCB_CMD_PREAD;
  request.aio_fildes = static_cast<std::uint32_t>(null_.get());
  request.aio_buf = reinterpret_cast<std::uintptr_t>(&nothing);
  request.aio_nbytes = sizeof nothing;
  request.aio_flags = IOCB_FLAG_RESFD;
  request.aio_resfd = static_cast<std::uint32_t>(event);
  iocb* requests[] = {&request};
  // A read of /dev/null is done when io_submit returns: nothing of it is under way afterwards.
  for (bool again = true; again;) {
    again = ::syscall(SYS_io_submit, context_, 1, requests) < 0 && errno == EAGAIN;
    if (!again) break;
    std::array<io_event, kUnread> results;
    const timespec at_once{};
    again = ::syscall(SYS_io_getevents, context_, 0, kUnread, results.data(), &at_once) > 0;
  }
}

bool take_event(int event) {
  std::uint64_t count;
  iovec into{&count, sizeof count};
  return ::preadv2(event, &into, 1, -1, RWF_NOWAIT) == sizeof count;
}

}  // namespace rookery
