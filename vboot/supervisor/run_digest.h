// One digest over all that can be seen of a run: every frame on every cable with its time and direction, and
// every machine's console. Two runs that have the same digest did the same, byte for byte.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/event_loop.h"
#include "netsim/tap.h"

namespace rookery::vboot {

class RunDigest final : public netsim::FrameWatcher {
 public:
  explicit RunDigest(EventLoop& loop) : loop_(loop), frames_(Hasher::Kind::blake2b) {}

  void seen(std::uint32_t tag, netsim::Direction direction, const netsim::Frame& frame) override;
  void console(const std::string& machine, std::string_view bytes);

  std::uint64_t frames() const { return count_; }
  Digest256 finish();  // ends it

 private:
  EventLoop& loop_;
  Hasher frames_;
  std::uint64_t count_ = 0;
  std::map<std::string, std::unique_ptr<Hasher>>
      consoles_;  // how a console's bytes were read in pieces does not matter
};

}  // namespace rookery::vboot
