#include "vboot/watch/boot_record.h"

#include <algorithm>
#include <utility>

#include "base/printable.h"

namespace rookery::vboot {

std::string_view to_string(Stage stage) {
  switch (stage) {
    case Stage::off:
      return "off";
    case Stage::firmware:
      return "firmware";
    case Stage::dhcp:
      return "dhcp";
    case Stage::script:
      return "script";
    case Stage::kernel:
      return "kernel";
    case Stage::root:
      return "root";
    case Stage::ready:
      return "ready";
    case Stage::failed:
      return "failed";
  }
  return "unknown";
}

void BootRecord::power_off(Time now) {
  const Stage seen = last;
  *this = BootRecord();
  last = seen;
  since = now;
}

void BootRecord::power_on(Time now) {
  power_off(now);
  stage = Stage::firmware;
  powered_on = first_on = now;
  chain.push_back({stage, now, {}});
}

void BootRecord::restart(const BootRecord& before, std::string_view why, Time now) {
  const unsigned count = before.restarts + 1;
  const Time first = before.first_on;
  power_on(now);
  restarts = count;
  constexpr std::size_t kLongest = 600;
  restarted_for = printable(why.substr(0, kLongest));
  first_on = first;
}

void BootRecord::guess(std::string what) {
  constexpr std::size_t kGuesses = 4, kLongest = 300;            // the first ones tell most
  what = printable(std::string_view(what).substr(0, kLongest));  // a machine's own words
  if (guesses.size() < kGuesses && std::find(guesses.begin(), guesses.end(), what) == guesses.end())
    guesses.push_back(std::move(what));
}

void BootRecord::enter(Stage next, std::string_view detail_text, Time now) {
  if (stage == Stage::failed || next < stage) return;
  if (next > stage) {
    if (!chain.empty()) chain.back().detail = std::move(detail);
    chain.push_back({next, now, {}});
    since = now;
  }
  stage = next;
  detail = printable(detail_text);  // a machine's own words
}

void BootRecord::fail(std::string_view words, FailedBy by, Time now) {
  if (stage == Stage::failed) return;
  if (!chain.empty()) chain.back().detail = detail;
  chain.push_back({Stage::failed, now, {}});
  failed_in = stage;
  failed_by = by;
  stage = Stage::failed;
  reason = said = printable(words);
  since = now;
}

}  // namespace rookery::vboot
