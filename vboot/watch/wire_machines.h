// The machines at the far end of an uplink: physical ones, which no supervisor switched on and no agent
// speaks for. Each is found by its MAC address when its firmware asks to be booted, and followed by its
// frames alone. A value of whoever watches the uplink; what others on that network say is not kept.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "vboot/watch/boot_watch.h"

namespace rookery::vboot {

struct WireMachine {
  explicit WireMachine(netsim::MacAddress its) : mac(its), watch(its) { boot.last = Stage::root; }

  netsim::MacAddress mac;
  netsim::IpAddress address;  // that it sends from, or was given
  BootRecord boot;            // from its firmware's first word on
  unsigned boots = 0;
  BootWatch watch;
};

class WireMachines {
 public:
  static constexpr std::size_t kMachines = 1024;  // kept; more are counted

  // A frame on the uplink: from the wire, or from the lab to it. The machine whose stage it changed, or null.
  // `frame_number`: as in BootWatch::see.
  const WireMachine* see(bool from_wire, const netsim::Frame& frame, Time now, std::uint64_t frame_number);

  const std::vector<std::unique_ptr<WireMachine>>& in_order() const { return machines_; }  // of being found
  const WireMachine* find(std::string_view mac) const;
  std::uint64_t left_out() const { return left_out_; }  // requests to boot of machines beyond kMachines

 private:
  WireMachine* known(netsim::MacAddress mac) const;
  WireMachine* asks_to_boot(const netsim::Frame& frame, Time now);

  std::vector<std::unique_ptr<WireMachine>> machines_;
  std::map<netsim::MacAddress, WireMachine*> by_mac_;
  netsim::Dissector dissector_;
  std::uint64_t left_out_ = 0;
};

}  // namespace rookery::vboot
