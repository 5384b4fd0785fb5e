// The one thread in which libxl is called, and libxl's context: its calls may block for as long as dom0's
// services (xenstored above all) do not answer, and the event loop must not. What takes long in it (creating,
// destroying) goes on side by side; what is to be told comes back through the loop's inbox. Shared by the
// backend and its machines; ends with the last of them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "backends/xen/libxl.h"
#include "base/loop/event_loop.h"
#include "base/loop/workers.h"

namespace rookery::backends {

// What jobs in the thread have of it.
class XenContext {
 public:
  // Called when the domain shuts down, by the reason that it gave (LIBXL_SHUTDOWN_REASON_*), or is gone
  // without a word (-1).
  using Ended = std::function<void(int reason)>;

  const Libxl& xl() const { return xl_; }
  libxl_ctx* get() const { return context_; }
  // What libxl said last of what went wrong.
  std::string take_complaint() { return std::exchange(complaint_, {}); }
  // Has `then` called, from within a libxl call in this thread, when an operation that was begun with it
  // ends. A begin() that libxl refuses at once ends in the same way.
  void operate(const std::function<int(const libxl_asyncop_how*)>& begin, std::function<void(int)> then);
  // One value in xenstore; nothing if it is not there.
  std::optional<std::string> read(const std::string& path);
  bool idle() const { return operations_ == 0; }

  std::map<std::uint32_t, Ended> ended;  // by domain

 private:
  friend struct XenThreadState;
  explicit XenContext(const Libxl& xl) : xl_(xl) {}
  Status open();
  void take_event(libxl_event* event);

  struct Logger : xentoollog_logger {
    std::string* to;
  };
  const Libxl& xl_;
  libxl_ctx* context_ = nullptr;
  xs_handle* store_ = nullptr;
  libxl_event_hooks hooks_{};
  Logger logger_{};
  std::string complaint_;
  unsigned operations_ = 0;  // that were begun, and have not ended
};

struct XenThreadState;

class XenThread {
 public:
  // `context` is null where Xen cannot be spoken to; `why` says so.
  using Job = std::function<void(XenContext* context, const std::string& why)>;

  XenThread(EventLoop& loop, const Libxl& libxl);
  ~XenThread();  // waits for what was begun, but no longer than kPatience
  XenThread(const XenThread&) = delete;
  XenThread& operator=(const XenThread&) = delete;

  void run(Job job);  // of which each machine has at most a few at a time
  // One that somebody may ask for as often as he likes. False if kOffersMost jobs wait already.
  bool offer(Job job);
  static constexpr std::size_t kOffersMost = 4096;
  // To the loop, from the thread; it may outlive both.
  const std::shared_ptr<Inbox>& inbox() const { return inbox_; }

 private:
  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<XenThreadState> state_;
};

}  // namespace rookery::backends
