#include "vboot/watch/boot_record.h"

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

void BootRecord::power_on(Time now) {
  *this = BootRecord();
  stage = Stage::firmware;
  powered_on = since = now;
  chain.push_back({stage, now, {}});
}

void BootRecord::enter(Stage next, std::string detail_text, Time now) {
  if (stage == Stage::failed || next < stage) return;
  if (next > stage) {
    if (!chain.empty()) chain.back().detail = std::move(detail);
    chain.push_back({next, now, {}});
    since = now;
  }
  stage = next;
  detail = printable(detail_text);  // a machine's own words
}

void BootRecord::fail(std::string words, FailedBy by, Time now) {
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
