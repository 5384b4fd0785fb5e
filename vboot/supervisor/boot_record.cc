#include "vboot/supervisor/boot_record.h"

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
}

void BootRecord::enter(Stage next, std::string detail_text, Time now) {
  if (stage == Stage::failed || next < stage) return;
  if (next > stage) since = now;
  stage = next;
  detail = std::move(detail_text);
}

void BootRecord::fail(std::string why, Time now) {
  if (stage == Stage::failed) return;
  failed_in = stage;
  stage = Stage::failed;
  reason = std::move(why);
  if (const std::string seen = evidence(); !seen.empty()) reason += " (on its cable: " + seen + ")";
  since = now;
}

void BootRecord::see(const netsim::DhcpSeen& message, Time now) {
  using netsim::DhcpType;
  switch (message.type) {
    case DhcpType::discover:
      ++discovers;
      break;
    case DhcpType::offer:
      ++offers;
      break;
    case DhcpType::request:
      ++requests;
      break;
    case DhcpType::ack:
      ++acknowledgements;
      break;
    case DhcpType::nak:
      ++refusals;
      break;
    default:
      return;
  }
  if (!message.from_server) enter(Stage::dhcp, detail, now);
}

std::string BootRecord::evidence() const {
  if (failed_in != Stage::dhcp && stage != Stage::dhcp) return {};
  const auto count = [](std::uint32_t n, const char* what) {
    return (n == 0 ? std::string("no") : std::to_string(n)) + " " + what;
  };
  std::string text = count(discovers, "DISCOVER") + ", " + count(offers, "OFFER");
  if (requests > 0) text += ", " + count(requests, "REQUEST") + ", " + count(acknowledgements, "ACK");
  if (refusals > 0) text += ", " + count(refusals, "NAK");
  return text;
}

}  // namespace rookery::vboot
