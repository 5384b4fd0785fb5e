// Joins libqmp to the event loop and a unix socket on which QEMU calls us. One for a machine's life; each
// start of the machine is a new conversation. Owned by its machine.
#pragma once

#include <qmp/qmp.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/listener.h"
#include "base/loop/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery::backends {

class QmpLink {
 public:
  using OnEvent = std::function<void(const qmp::Event&)>;

  static Result<std::unique_ptr<QmpLink>> listen(EventLoop& loop, const std::filesystem::path& socket,
                                                 OnEvent on_event);
  ~QmpLink();

  void starting();  // QEMU is about to be started
  void ended();     // it has ended: what it still said is read first

  // `done` comes once, from the loop or from within; also if QEMU ends first.
  void execute(const qmp::Command& command, qmp::Client::Completion done);
  // The same for a file that QEMU is to know as `name` from then on; one at a time.
  void give_file(UniqueFd file, const std::string& name, qmp::Client::Completion done);
  const std::string& fault() const { return fault_; }  // why there is no conversation any more

 private:
  QmpLink(EventLoop& loop, std::filesystem::path path, OnEvent on_event)
      : loop_(loop), path_(std::move(path)), on_event_(std::move(on_event)) {}
  qmp::Client::Time now() const { return loop_.now().since_start; }
  void accept(UniqueFd peer);
  bool readable();
  void pump();

  EventLoop& loop_;
  std::filesystem::path path_;
  OnEvent on_event_;
  std::unique_ptr<qmp::Client> client_;
  std::unique_ptr<Listener> listener_;
  UniqueFd connection_;
  Watch connection_watch_;
  std::string unsent_;
  UniqueFd file_;  // goes out with what is sent next
  EventId deadline_;
  std::string fault_;
};

}  // namespace rookery::backends
