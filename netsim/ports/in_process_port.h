// Where code of ours speaks frames: the management channel, tests. Frames from the network come to a
// callback, frames for the network go out by transmit(). One owner; it outlives what sends to it, and is
// outlived by what it sends to.
#pragma once

#include <functional>

#include "netsim/port.h"

namespace rookery::netsim {

class InProcessPort final : public Port {
 public:
  using Receiver = std::function<void(const Frame&)>;

  explicit InProcessPort(Receiver receiver) : receiver_(std::move(receiver)) {}
  InProcessPort(const InProcessPort&) = delete;
  InProcessPort& operator=(const InProcessPort&) = delete;

  // Where transmit() sends; before that, frames go nowhere and are counted.
  void connect(Port& network) { network_ = &network; }
  void transmit(Frame frame) {
    ++transmitted_;
    network_->send(std::move(frame));
  }

  void send(Frame frame) override {
    ++received_;
    receiver_(frame);
  }

  std::uint64_t received() const { return received_; }
  std::uint64_t transmitted() const { return transmitted_; }

 private:
  Receiver receiver_;
  NullPort nowhere_;
  Port* network_ = &nowhere_;
  std::uint64_t received_ = 0;
  std::uint64_t transmitted_ = 0;
};

}  // namespace rookery::netsim
