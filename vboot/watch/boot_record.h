// Where one machine is on its way from power-on to ready, how it came there, and why it went no further. A
// plain value that the supervisor moves on with every word of the agent and every frame that matters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "vboot/watch/cause.h"
#include "vboot/watch/wire_evidence.h"

namespace rookery::vboot {

// The stages in their order (docs/architecture.md, "the way of one boot").
enum class Stage : std::uint8_t { off, firmware, dhcp, script, kernel, root, ready, failed };
std::string_view to_string(Stage stage);

// What ended a boot that failed.
enum class FailedBy : std::uint8_t { nobody, itself, its_end, deadline, start };

struct BootRecord {
  struct Reached {
    Stage stage;
    Time at;
    std::string detail;  // for a person; of the last one it is `detail` below
  };

  Stage stage = Stage::off;
  Stage failed_in = Stage::off;  // the stage that it failed in
  std::string detail;            // of the stage, for a person
  FailedBy failed_by = FailedBy::nobody;
  std::string said;           // what the failure was told with: the agent's words, or ours
  Cause cause = Cause::none;  // of the failure, and the sentence that names it (why.h)
  std::string reason;
  Time powered_on{};
  Time since{};                // in this stage
  std::vector<Reached> chain;  // at most one of each stage
  WireEvidence wire;
  std::vector<std::string> guesses;  // what the boot script says and the virtual boot ROM does not know
  unsigned restarts = 0;             // by itself, since its power-on, before it was ready
  std::string restarted_for;         // what became of the boot before this one
  Time first_on{};                   // the power-on before those restarts
  bool agent_spoke = false;          // in this boot: from then on its word counts for what follows DHCP

  // The last stage that can be seen: root, where no agent says "ready" (no management NIC, or a physical
  // machine).
  Stage last = Stage::ready;

  // It is as far as can be seen.
  bool arrived() const { return stage == last && (last != Stage::root || wire.has_root()); }
  bool settled() const { return arrived() || stage == Stage::failed || stage == Stage::off; }
  Stage got_to() const { return stage == Stage::failed ? failed_in : stage; }
  void power_on(Time now);
  void power_off(Time now);
  // It was on its way and begins anew by itself.
  void restart(const BootRecord& before, std::string_view why, Time now);
  void guess(std::string what);
  // Moves on; a stage never goes back within one boot.
  void enter(Stage next, std::string_view detail_text, Time now);
  // `words` are its reason until somebody who sees more explains it (why.h).
  void fail(std::string_view words, FailedBy by, Time now);
};

}  // namespace rookery::vboot
