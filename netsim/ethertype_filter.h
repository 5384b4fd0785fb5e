// Lets frames of one ethertype through and counts the others: in front of and behind a management port, so
// that nothing but the agent's channel passes it. One owner, as for every wrapper.
#pragma once

#include "netsim/port.h"

namespace rookery::netsim {

class EthertypeFilter final : public WrappingPort {
 public:
  explicit EthertypeFilter(std::uint16_t ethertype) : ethertype_(ethertype) {}
  EthertypeFilter(std::uint16_t ethertype, Port& next) : WrappingPort(next), ethertype_(ethertype) {}

  void send(Frame frame) override {
    if (frame.outer_ethertype() != ethertype_) {  // a tagged frame is of another kind
      ++refused_;
      return;
    }
    next().send(std::move(frame));
  }
  std::uint64_t refused() const { return refused_; }

 private:
  std::uint16_t ethertype_;
  std::uint64_t refused_ = 0;
};

}  // namespace rookery::netsim
