// Where one machine is on its way from power-on to ready, and why it went no further. A plain value that the
// supervisor moves on with every word of the agent and every frame that matters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/units.h"
#include "netsim/dissect.h"

namespace rookery::vboot {

// The stages in their order (docs/architecture.md, "the way of one boot").
enum class Stage : std::uint8_t { off, firmware, dhcp, script, kernel, root, ready, failed };
std::string_view to_string(Stage stage);

struct BootRecord {
  Stage stage = Stage::off;
  Stage failed_in = Stage::off;  // the stage that it failed in
  std::string detail;            // of the stage, for a person
  std::string reason;            // of the failure
  Time powered_on{};
  Time since{};  // in this stage
  // What its cable saw of DHCP in this boot.
  std::uint32_t discovers = 0, offers = 0, requests = 0, acknowledgements = 0, refusals = 0;

  bool settled() const { return stage == Stage::ready || stage == Stage::failed || stage == Stage::off; }
  void power_on(Time now);
  // Moves on; a stage never goes back within one boot.
  void enter(Stage next, std::string detail_text, Time now);
  void fail(std::string why, Time now);
  // Takes note of a DHCP message from or for this machine.
  void see(const netsim::DhcpSeen& message, Time now);
  // What the network showed of the stage that the machine is in, or nothing.
  std::string evidence() const;
};

}  // namespace rookery::vboot
