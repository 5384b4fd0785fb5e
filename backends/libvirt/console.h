// A domain's serial port: a unix socket in the machine's folder to which its QEMU connects before it starts
// the guest, so that nothing of what is said is lost, neither the first word nor the last. (A pseudo
// terminal, as libvirt's console streams want it, forgets what was not read when QEMU goes.) Owned by its
// machine.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "base/listener.h"
#include "base/loop/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery::backends {

class ConsoleSocket {
 public:
  using OnBytes = std::function<void(std::string_view)>;

  // `on_end`: QEMU closed it; both from the loop.
  static Result<std::unique_ptr<ConsoleSocket>> listen(EventLoop& loop, const std::filesystem::path& path,
                                                       OnBytes on_bytes, Action on_end);
  ~ConsoleSocket();

  void write(std::string_view bytes);  // what does not fit is lost, as on a serial line
  // Whether there is a QEMU whose end is still to be heard.
  bool connected();

 private:
  ConsoleSocket(EventLoop& loop, std::filesystem::path path) : loop_(loop), path_(std::move(path)) {}
  void accept(UniqueFd peer);
  void read();

  EventLoop& loop_;
  std::filesystem::path path_;
  OnBytes on_bytes_;
  Action on_end_;
  std::unique_ptr<Listener> listener_;
  UniqueFd connection_;
  Watch connection_watch_;
};

}  // namespace rookery::backends
