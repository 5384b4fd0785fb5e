// Writes the history of a running lab: told of its stages, hears of its faults, and looks at its counters
// now and then. Owned by whoever runs the lab, and goes before it.
#pragma once

#include <map>

#include "base/loop/event_loop.h"
#include "vboot/faults/board.h"
#include "vboot/report/history.h"
#include "vboot/run/session/running_lab.h"

namespace rookery::vboot {

class Recorder final : private FaultEvents {
 public:
  // When it looks at counters: also in between, by a timer; or only when something happens that it is told
  // of. A run in virtual time must not have events that are there only because somebody watches.
  enum class Looks { between, when_told };
  Recorder(EventLoop& loop, RunningLab& lab, Looks looks);
  ~Recorder() override;
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  void stage_changed(const Node& node);
  void stage_changed(const WireMachine& machine);
  void step(std::string_view text);
  // Looks at the counters now, for who is about to read the history.
  void look();
  const History& history() const { return history_; }
  Duration elapsed() const { return loop_.now() - lab_.started(); }

 private:
  void fault_began(const FaultSpec& fault) override;
  void fault_ended(const FaultSpec& fault, std::string_view why) override;
  void look_if_due();
  void weigh(const Node& node);
  void look_again();

  EventLoop& loop_;
  RunningLab& lab_;
  History history_;
  const Node* boot_server_ = nullptr;
  std::map<netsim::MacAddress, std::size_t> physical_;  // their numbers in the history
  // Of each machine when it was last looked at: on its way often enough, afterwards one at each look.
  std::vector<Bytes> memory_;
  Bytes memory_of_all_;
  std::size_t next_weighed_ = 0;
  EventId timer_;
};

}  // namespace rookery::vboot
