// Grants time to one guest under external time travel, in its machine's lane (base/loop/lane.h). Each guest
// has a segment of shared memory of its own, so that a guest's requests and looks at the clock cost no
// messages, and none can touch another's time: a grant is one message to the guest, a yield one from it.
//
// Owned by the guest's machine. A guest that restarts connects again and is taken back.
#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "backends/uml/time_travel/protocol.h"
#include "base/listener.h"
#include "base/loop/lane.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery::backends::time_travel {

class Controller final : private LaneRunner {
 public:
  // `lane` outlives the controller. `clock` is what the guest's clock shows at the run's time zero, since
  // 1970.
  static Result<std::unique_ptr<Controller>> listen(EventLoop& loop, const std::filesystem::path& socket,
                                                    Lane& lane, Duration clock);
  ~Controller() override;
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  void starting();  // its process is about to run: time stands still until it waits for the first time
  void ended();     // its process is gone

 private:
  Controller(EventLoop& loop, std::filesystem::path path, Lane& lane, Duration clock)
      : loop_(loop), path_(std::move(path)), lane_(lane), clock_(clock) {}

  void accept(UniqueFd peer);
  void readable();
  void handle(const Message& message);
  Status make_segment();
  void start(std::uint32_t sequence);
  void waits(std::uint64_t guest_now);
  void set_clock(Time now) override;
  void run(Time now) override;
  std::uint64_t guest_time(Time time) const { return static_cast<std::uint64_t>((time - started_).count()); }
  void send(const Message& message, std::span<const int> files = {});

  EventLoop& loop_;
  std::filesystem::path path_;
  Lane& lane_;
  Duration clock_;
  std::unique_ptr<Listener> listener_;
  UniqueFd connection_;
  Watch connection_watch_;
  ByteBuffer input_;
  Time started_{};  // the guest's own zero
  UniqueFd segment_file_;
  std::uint8_t* segment_ = nullptr;  // one for the machine; each guest that starts finds it new
};

}  // namespace rookery::backends::time_travel
