// The captures of a running lab that somebody asked for, each into a descriptor of his: which machines, until
// when, and what became of it. Owned by the control server; goes before the lab.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json/json.h"
#include "base/loop/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "netsim/capture.h"
#include "vboot/control/requests.h"
#include "vboot/run/session/running_lab.h"

namespace rookery::vboot {

Json to_json(const netsim::CaptureTold& told);

class LabCaptures {
 public:
  static constexpr std::size_t kMost = 64;  // at a time
  // Called once, when nothing more will be written: how many frames are in the file (`frames`), how many are
  // not (`frames_left_out`) and `why`; or what went wrong.
  using Done = std::function<void(Result<Json>)>;

  // `began`: when the loop's time was zero, since 1970-01-01 UTC.
  LabCaptures(EventLoop& loop, RunningLab& lab, Duration began) : loop_(loop), lab_(lab), began_(began) {}
  ~LabCaptures() { end_all(); }
  LabCaptures(const LabCaptures&) = delete;
  LabCaptures& operator=(const LabCaptures&) = delete;

  // Gives its number. `done` may come as soon as the loop goes on.
  Result<int> begin(const std::vector<Node*>& nodes, const CaptureRequest& request, UniqueFd fd, Done done);
  void end(int number);  // `done` comes when all is written, or nobody takes it
  void end_all();        // likewise, and waits for that

 private:
  struct Capture {
    std::shared_ptr<netsim::CaptureFile> file;
    std::vector<std::string> machines;
    Watch news;
    EventId timer;  // its end; afterwards, when to look whether it is still being written
    bool ending = false;
    Done done;
  };
  Status check(const std::vector<Node*>& nodes, const CaptureRequest& request, int fd) const;
  void stop(Capture& capture);
  void linger(int number, std::uint64_t written);
  void settle(int number);

  EventLoop& loop_;
  RunningLab& lab_;
  Duration began_;
  std::map<int, Capture> captures_;
  int last_ = 0;
};

}  // namespace rookery::vboot
