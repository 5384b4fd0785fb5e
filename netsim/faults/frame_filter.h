// Which frames a fault is about, in the language of pcap-filter(7), compiled by libpcap and run here. A
// shared value without state; whoever uses it keeps a handle.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "netsim/frame.h"

namespace rookery::netsim {

class FrameFilter {
 public:
  static constexpr std::size_t kLongest = 512;  // of the expression

  // Gives the address of a machine of that name, or nothing. Names are never looked up on the host, where
  // they might mean something else tomorrow: an unknown word is an error of kind usage.
  using AddressOf = std::function<std::optional<std::string>(std::string_view name)>;
  static Result<std::shared_ptr<const FrameFilter>> compile(std::string_view expression,
                                                            const AddressOf& address_of = {});
  ~FrameFilter();
  FrameFilter(const FrameFilter&) = delete;
  FrameFilter& operator=(const FrameFilter&) = delete;

  // A frame with a VLAN tag is looked at without it, unless the expression speaks of VLANs.
  bool matches(const Frame& frame) const;

 private:
  FrameFilter() = default;
  struct Program;
  std::unique_ptr<Program> program_;
  bool speaks_of_vlans_ = false;
};

}  // namespace rookery::netsim
