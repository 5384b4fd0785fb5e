// Tells an event descriptor (eventfd(2)) of a peer without ever waiting. write(2) is no way: the peer shares
// the descriptor's O_NONBLOCK with us, can take it away and fill the counter, at any moment between a look
// and the write. The kernel's own notification of asynchronous I/O (io_submit(2), IOCB_FLAG_RESFD) adds one
// to the counter and waits for nobody.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery {

class EventSignaller {
 public:
  static Result<EventSignaller> make();
  EventSignaller(EventSignaller&& other) noexcept
      : null_(std::move(other.null_)), context_(std::exchange(other.context_, 0)) {}
  EventSignaller& operator=(EventSignaller&&) = delete;
  ~EventSignaller();

  void signal(int event);  // of a full counter nothing is lost: it tells as well

 private:
  EventSignaller(UniqueFd null, unsigned long context) : null_(std::move(null)), context_(context) {}

  UniqueFd null_;  // what is "read": nothing
  unsigned long context_;
};

// The counter of such a descriptor, taken without waiting. False if there is nothing to take.
bool take_event(int event);

}  // namespace rookery
