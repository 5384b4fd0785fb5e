// Why a machine is not ready, as one word of a fixed list: what `rookery why` groups machines by, and what
// docs/why.md lists. A test holds the two together.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace rookery::vboot {

enum class Cause : std::uint8_t {
  none,  // it is ready
  booting,
  off,
  not_started,
  died,
  panic,
  out_of_memory,
  no_disk,
  bad_medium,
  frozen,
  link_down,
  port_blocked,
  separated,
  server_off,
  server_booting,
  server_frozen,
  server_link_down,
  other_server,
  fault,
  switch_refuses,
  device_refused,
  no_frame,
  dead_firmware,
  nothing_to_boot,
  firmware_error,
  hypervisor_refuses,
  wrong_architecture,
  no_offer,
  no_ack,
  dhcp_refused,
  no_boot_file,
  no_answer,
  refused,
  http_error,
  tftp_error,
  stalled,
  bad_script,
  bad_digest,
  bad_image,
  export_refused,
  bad_root,
  too_slow,
  unknown,
};

struct CauseText {
  Cause cause;
  std::string_view word;     // "no-offer"
  std::string_view meaning;  // for a person, without a full stop
};
std::span<const CauseText> causes();  // each once, in the enumeration's order
std::string_view to_string(Cause cause);

}  // namespace rookery::vboot
