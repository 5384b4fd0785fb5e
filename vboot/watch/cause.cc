#include "vboot/watch/cause.h"

#include <array>
#include <cstddef>

namespace rookery::vboot {
namespace {

constexpr std::array kCauses{
    CauseText{Cause::none, "ready", "nothing is missing"},
    CauseText{Cause::booting, "booting", "it is on its way, and nothing seems wrong yet"},
    CauseText{Cause::off, "off", "its power is off, and nothing went wrong before"},
    CauseText{Cause::not_started, "not-started",
              "it was not switched on: the host has no room, or it waits for its boot server"},
    CauseText{Cause::died, "died", "it ended by itself, or was killed"},
    CauseText{Cause::panic, "panic", "its kernel panicked"},
    CauseText{Cause::out_of_memory, "out-of-memory", "it has too little memory"},
    CauseText{Cause::no_disk, "no-disk", "its firmware finds no disk that boots"},
    CauseText{Cause::bad_medium, "bad-medium", "the medium that it starts from is damaged"},
    CauseText{Cause::frozen, "frozen", "a fault holds it frozen"},
    CauseText{Cause::link_down, "link-down", "its cable is pulled"},
    CauseText{Cause::port_blocked, "port-blocked", "the switch's port does not forward yet"},
    CauseText{Cause::separated, "separated", "a partition or a cut is between it and its boot server"},
    CauseText{Cause::server_off, "server-off", "its boot server is off, or has failed"},
    CauseText{Cause::server_booting, "server-booting", "its boot server is not ready itself"},
    CauseText{Cause::server_frozen, "server-frozen", "a fault holds its boot server frozen"},
    CauseText{Cause::server_link_down, "server-link-down", "its boot server's cable is pulled"},
    CauseText{Cause::other_server, "other-server", "another DHCP server answers on the wire of the uplink"},
    CauseText{Cause::fault, "fault", "a fault in force strikes its frames on the way"},
    CauseText{Cause::switch_refuses, "switch-refuses", "the switch drops what it sends"},
    CauseText{Cause::device_refused, "device-refused", "what it asks of its devices is refused"},
    CauseText{Cause::no_frame, "no-frame", "it has sent nothing since its power-on"},
    CauseText{Cause::dead_firmware, "dead-firmware",
              "its firmware does not run: nothing on its console, nothing on its cable"},
    CauseText{Cause::nothing_to_boot, "nothing-to-boot", "its firmware found nothing that it could boot"},
    CauseText{Cause::firmware_error, "firmware-error", "its firmware gave up, and says why on its console"},
    CauseText{Cause::hypervisor_refuses, "hypervisor-refuses", "its hypervisor refused to run it"},
    CauseText{Cause::wrong_architecture, "wrong-architecture",
              "no boot file is served for what its firmware says to be (option 93)"},
    CauseText{Cause::no_offer, "no-offer", "no DHCP server offers it an address"},
    CauseText{Cause::no_ack, "no-ack", "an address was offered, and not given"},
    CauseText{Cause::dhcp_refused, "dhcp-refused", "the DHCP server refuses it (NAK)"},
    CauseText{Cause::no_boot_file, "no-boot-file", "the DHCP server names no boot script"},
    CauseText{Cause::no_answer, "no-answer", "nobody answers where a file or the root is to come from"},
    CauseText{Cause::refused, "refused", "the host is there, and nobody listens at that port"},
    CauseText{Cause::http_error, "http-error", "the HTTP server answers with an error"},
    CauseText{Cause::tftp_error, "tftp-error", "the TFTP server answers with an error"},
    CauseText{Cause::stalled, "stalled", "a transfer began, and nothing comes any more"},
    CauseText{Cause::bad_script, "bad-script", "the boot script is wrong, or ends without booting"},
    CauseText{Cause::bad_digest, "bad-digest", "a file is not the one that the script means"},
    CauseText{Cause::bad_image, "bad-image", "what was fetched cannot be booted"},
    CauseText{Cause::export_refused, "export-refused", "the NBD server refuses the share"},
    CauseText{Cause::bad_root, "bad-root", "the share cannot be used as a root"},
    CauseText{Cause::too_slow, "too-slow", "it was on its way when its time was over"},
    CauseText{Cause::unknown, "unknown", "nothing that was seen tells; its console may"},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kCauses.size(); ++i) {
    if (static_cast<std::size_t>(kCauses[i].cause) != i) return false;
  }
  return kCauses.size() == static_cast<std::size_t>(Cause::unknown) + 1;
}
static_assert(in_order());

}  // namespace

std::span<const CauseText> causes() {
  return kCauses;
}

std::string_view to_string(Cause cause) {
  return kCauses[static_cast<std::size_t>(cause)].word;
}

}  // namespace rookery::vboot
