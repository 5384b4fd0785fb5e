// Disks by iSCSI and AoE. The protocols are the kernel's; the iSCSI login is open-iscsi's iscsistart, which
// the boot script brings (san.cpio).
#include <fcntl.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "guest/program/share.h"
#include "guest/program/system.h"

namespace rookery::guest {
namespace {

constexpr int kAttempts = 5;
// As long as readers of an NBD share wait: a boot server may be away, and come back.
constexpr const char* kPatience = "86400";
constexpr const char* kIscsistart = "/sbin/iscsistart";
constexpr const char* kIscsid = "/sbin/iscsid";
constexpr const char* kInitiatorFile = "/run/rookery/initiatorname.iscsi";  // there is a session
// Who starts from a disk by firmware has the firmware's name; all others only read.
constexpr const char* kReader = "iqn.2026-11.internal.rookery:reader";

Result<std::string> attach_iscsi(Devices& devices, const san::IscsiTarget& target) {
  devices.load("crc32c_generic");  // which it asks for by a modprobe that is not here
  devices.load("iscsi_tcp");
  devices.load("sd_mod");  // its disks are not there yet to ask for it
  if (access(kIscsistart, X_OK) != 0)
    return fail("there is no iscsistart; the boot script is to load the image's san.cpio");
  devices.forget_news();
  const std::string initiator = target.initiator.empty() ? kReader : target.initiator;
  // It tries for some time by itself. Portal group 1 is what tgt, and most others, have.
  const Status logged_in = run_program(
      {kIscsistart, "-i", initiator, "-t", target.name, "-g", "1", "-a", target.host, "-p",
       std::to_string(target.port), "-P", std::string("node.session.timeo.replacement_timeout=") + kPatience},
      std::chrono::minutes(2));
  if (!logged_in) return tl::unexpected(logged_in.error());
  ROOKERY_TRY(write_text(kInitiatorFile, "InitiatorName=" + initiator + "\n"));
  const std::string unit = ":" + std::to_string(target.lun) + "/block/";
  return devices.wait_for_disk(
      [&](std::string_view path) { return path.find(unit) != std::string_view::npos; },
      std::chrono::seconds(30));
}

// AoE has no login: who asks on an interface is answered by the disks there. Any other interface (that of the
// management, too) is left out before the first question.
Result<std::string> attach_aoe(Devices& devices, const san::AoeTarget& target, const Interface& nic) {
  devices.load("aoe");
  const std::string settings = "/sys/module/aoe/parameters/";
  ROOKERY_TRY(tell_kernel(settings + "aoe_iflist", nic.name));
  ROOKERY_TRY(tell_kernel(settings + "aoe_deadsecs", kPatience));
  devices.forget_news();
  const std::string disk = "/block/etherd!" + target.to_string();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    // A question may be lost, and the disk's server be starting.
    ROOKERY_TRY(tell_kernel("/dev/etherd/discover", "1"));
    auto found = devices.wait_for_disk([&](std::string_view path) { return path.ends_with(disk); },
                                       std::chrono::seconds(1 << attempt));
    if (found) return found;
  }
  return fail("no answer on " + nic.name + " (asked 5 times in 31 s)");
}

}  // namespace

Result<std::string> attach_san(Devices& devices, const san::Target& target, const Interface& nic) {
  const auto* iscsi = std::get_if<san::IscsiTarget>(&target);
  const std::string name = san::to_text(target);
  auto device = iscsi != nullptr ? attach_iscsi(devices, *iscsi)
                                 : attach_aoe(devices, std::get<san::AoeTarget>(target), nic);
  if (!device) return tl::unexpected(Error(device.error()).while_doing(name));
  say(name + " is " + *device);
  return device;
}

// Takes over the sessions that there are. It locks itself into memory, so that it does not need the disk that
// it brings back; what it says goes to the console.
void keep_sessions() {
  if (access(kInitiatorFile, R_OK) != 0) return;
  const pid_t child = fork();
  if (child < 0) return say(fail_errno("starting iscsid").value().message);
  if (child > 0) return;
  setsid();
  keep_when_memory_is_short();
  char* argv[] = {const_cast<char*>(kIscsid),
                  const_cast<char*>("-f"),
                  const_cast<char*>("-c"),
                  const_cast<char*>("/dev/null"),
                  const_cast<char*>("-i"),
                  const_cast<char*>(kInitiatorFile),
                  nullptr};
  execv(kIscsid, argv);
  say("a lost iSCSI session will not be logged in again: " + fail_errno(kIscsid).value().message);
  _exit(1);
}

std::optional<san::Target> boot_target() {
  // Under UEFI, iPXE gives the tables to ACPI.
  for (const char* table : {"iBFT", "aBFT"}) {
    const Result<std::string> text = read_text(std::string("/sys/firmware/acpi/tables/") + table);
    if (!text) continue;
    if (const Result<san::Target> target = san::parse_boot_table(as_bytes(*text))) return *target;
  }
  // Under BIOS they lie in the upper half of the first MiB (iBFT 1.02, "Locating the iBFT").
  constexpr off_t kFirst = 512 << 10;
  constexpr std::size_t kSize = 512 << 10;
  const UniqueFd memory(open("/dev/mem", O_RDONLY | O_CLOEXEC));
  if (!memory) return std::nullopt;
  ByteBuffer bytes(kSize);
  for (std::size_t at = 0; at < kSize; at += 4096) {  // what cannot be read stays zero
    (void)!pread(memory.get(), bytes.data() + at, 4096, kFirst + static_cast<off_t>(at));
  }
  return san::find_boot_table(bytes);
}

}  // namespace rookery::guest
