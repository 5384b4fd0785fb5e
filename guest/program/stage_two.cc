// Stage two: finds the system (the share on the network, or a medium), lays a writable tmpfs over it, gives
// the machine its name and role, starts the agent and hands over to the system's own init.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "guest/program/devices.h"
#include "guest/program/disk_claim.h"
#include "guest/program/layers.h"
#include "guest/program/medium.h"
#include "guest/program/role_files.h"
#include "guest/program/share.h"
#include "guest/program/stages.h"
#include "guest/program/system.h"

namespace rookery::guest {
namespace {

constexpr const char* kGo = "/run/rookery/go";

using agent::BootStage;

constexpr const char* kNewRoot = "/system";
constexpr Duration kRoleTimeout = std::chrono::seconds(30);

// The lease that stage one left; or a new one, for a machine whose firmware brought it here.
Lease lease_of(const std::optional<Interface>& nic, Report& report) {
  if (Result<Lease> lease = Lease::read()) return std::move(*lease);
  if (!nic) report.failed(BootStage::dhcp, "the machine has no Ethernet interface to boot from");
  report.stage(BootStage::dhcp, nic->name + " " + to_text(nic->mac));
  if (const Status up = bring_up(nic->name); !up) report.failed(BootStage::dhcp, up.error().message);
  Result<Lease> lease = ask_by_dhcp(*nic);
  if (!lease) report.failed(BootStage::dhcp, lease.error().message);
  return std::move(*lease);
}

// If firmware started this kernel from a disk on the network, that is where the medium is.
Status mount_medium(Devices& devices, const std::optional<san::Target>& target,
                    const std::optional<Interface>& nic, std::string_view wanted, bool supervised) {
  if (target) {
    if (!nic) return fail("the machine has no Ethernet interface to reach its disk by");
    const Result<std::string> attached = attach_san(devices, *target, *nic);
    if (!attached) return tl::unexpected(attached.error());
  }
  const Result<std::string> device = attach_medium(devices, wanted);
  if (!device) return tl::unexpected(device.error());
  // A supervisor has read the medium before the machine was on; so has that of the disk on the network.
  if (!supervised && !target) ROOKERY_TRY(check_medium());
  const Status mounted = mount_at(device->c_str(), kLowerFolder, "squashfs", MS_RDONLY);
  return mounted ? mounted : fail("the medium's root.squashfs: " + mounted.error().message);
}

// The disk for changes (rookery.changes=), if there is one for this machine; empty if it is to use its
// memory. One machine has it at a time: a second is refused, or is told so and goes on with a layer of its
// own (rookery.taken=memory).
Result<std::string> disk_for_changes(Devices& devices, std::string_view command_line, const Interface& nic,
                                     const std::string& address, Report& report) {
  const std::string named = command_line_value(command_line, "rookery.changes");
  if (named.empty()) return std::string();
  const Result<std::optional<san::Target>> target = san::parse_target(named);
  if (!target) return tl::unexpected(target.error());
  if (!*target) return fail("'" + named + "' names no disk for changes");
  Result<std::string> device = attach_san(devices, **target, nic);
  if (!device) return device;
  const Result<std::string> owner = claim_disk(*device, address);
  if (!owner) return tl::unexpected(Error(owner.error()).while_doing(named));
  if (*owner == address) return device;
  const std::string why =
      "the disk for changes is in use by " + *owner + ", and is for one machine at a time";
  if (command_line_value(command_line, "rookery.taken") != "memory") return fail(why);
  report.stage(BootStage::root, why + "; changes are kept in memory");
  return std::string();
}

Status lay_changes_over(const std::string& disk, const std::vector<agent::RoleLayer>& layers) {
  const Result<std::string> folders = mount_layers(layers);
  if (!folders) return tl::unexpected<Error>(folders.error());
  ROOKERY_TRY(disk.empty() ? mount_at("tmpfs", "/run/rookery/changes", "tmpfs", 0, "mode=0755")
                           : mount_at(disk.c_str(), "/run/rookery/changes", "ext4"));
  ROOKERY_TRY(make_folders("/run/rookery/changes/upper"));
  ROOKERY_TRY(make_folders("/run/rookery/changes/work"));
  ROOKERY_TRY(mount_at("overlay", kNewRoot, "overlay", 0,
                       "lowerdir=" + *folders +
                           ",upperdir=/run/rookery/changes/upper,"
                           "workdir=/run/rookery/changes/work"));
  if (access((std::string(kNewRoot) + "/sbin/init").c_str(), X_OK) != 0) {
    struct stat link {};  // a link is judged inside the new root only
    if (lstat((std::string(kNewRoot) + "/sbin/init").c_str(), &link) != 0)
      return fail("the system has no /sbin/init");
  }
  return {};
}

std::string fallback_name(const std::optional<Interface>& nic) {
  if (!nic) return "rookery";
  const std::string mac = to_text(nic->mac);
  return "node-" + mac.substr(9, 2) + mac.substr(12, 2) + mac.substr(15, 2);
}

// What the supervisor tells this machine to be. It has answered by the time that the system is attached.
agent::Role wait_for_role(Report& report) {
  Management& management = *report.management();
  const Time end = now() + kRoleTimeout;
  while (auto message = management.wait_message(end - now())) {
    if (const auto* role = std::get_if<agent::Role>(&*message)) return *role;
    if (std::holds_alternative<agent::PowerOff>(*message)) power_off();
  }
  report.failed(BootStage::root, "no role arrived within 30 s");
}

Status name_from_lease(const Lease& lease, const std::optional<Interface>& nic) {
  const std::string given = lease.hostname();
  ROOKERY_TRY(set_hostname(given.empty() ? fallback_name(nic) : given, lease.value("ip")));
  return set_resolver(lease);
}

// The agent puts in what the lab gives this machine, and says when it is done.
void wait_for_gifts() {
  say("waiting for what the lab gives this machine");
  const UniqueFd done(open(kGo, O_RDONLY | O_CLOEXEC));
  char word[16];
  while (read(done.get(), word, sizeof word) > 0) {
  }
  unlink(kGo);
}

[[noreturn]] void start_system(Report& report, bool gets_gifts) {
  if (Management* const management = report.management()) {
    const char* const fifo = "/run/rookery/agent";
    unlink(fifo);
    if (mkfifo(fifo, 0600) != 0) report.failed(BootStage::root, fail_errno(fifo).value().message);
    if (gets_gifts && mkfifo(kGo, 0600) != 0) report.failed(BootStage::root, fail_errno(kGo).value().message);
    const pid_t child = fork();
    if (child < 0) report.failed(BootStage::root, fail_errno("starting the agent").value().message);
    if (child == 0) serve(std::move(*management));  // from here on the session is the child's
    if (gets_gifts) wait_for_gifts();
  }
  char name[] = "/sbin/init";
  char* argv[] = {name, nullptr};
  execv(name, argv);
  say("failed in the stage root: " + fail_errno(name).value().message);
  power_off();
}

}  // namespace

void stage_two() {
  mount_kernel_file_systems();
  Devices devices;
  devices.load_drivers();
  const Result<std::string> handed_over = read_text("/run/rookery/cmdline");
  const std::string command_line = handed_over ? *handed_over : kernel_command_line();
  const std::string share = command_line_value(command_line, "rookery.share");
  const std::optional<san::Target> target = share.empty() ? boot_target() : std::nullopt;
  const bool from_network = !share.empty() || target;
  const Interfaces interfaces = wait_for_interfaces(devices);
  (void)bring_up("lo");
  Report report(agent::Program::stage2, from_network ? agent::Source::network : agent::Source::medium,
                interfaces.management);

  std::optional<Lease> lease;
  if (from_network) lease = lease_of(interfaces.data, report);
  report.stage(BootStage::root, !share.empty() ? share : target ? san::to_text(*target) : "the medium");
  const std::string wanted = command_line_value(command_line, "rookery.medium");
  Status done = share.empty()
                    ? mount_medium(devices, target, interfaces.data, wanted, report.management() != nullptr)
                    : mount_share(devices, share, interfaces.data.value_or(Interface{}), kLowerFolder);
  if (!done) report.failed(BootStage::root, done.error().message);
  std::optional<agent::Role> role;
  if (report.management() != nullptr) role = wait_for_role(report);
  const auto disk = disk_for_changes(devices, command_line, interfaces.data.value_or(Interface{}),
                                     lease ? lease->value("ip") : "", report);
  const auto layers = role ? role->layers : std::vector<agent::RoleLayer>();
  done = disk ? lay_changes_over(*disk, layers) : tl::unexpected(disk.error());
  if (done) done = switch_root(kNewRoot);
  if (done) done = put_records_in(layers);
  if (done) {
    done = from_network ? name_from_lease(*lease, interfaces.data)
                        : set_hostname(fallback_name(interfaces.data), "");
  }
  // Without a supervisor a machine that started from a medium is what its image keeps for that.
  if (done && (role || !from_network)) done = role ? apply_role(*role) : apply_default_role();
  if (!done) report.failed(BootStage::root, done.error().message);
  // OpenSSL is not to ask the processor for random numbers, which no run could repeat: bit 62 is RDRAND, bit
  // 18 of the second word RDSEED (OPENSSL_ia32cap(3)). What the system starts inherits it.
  setenv("OPENSSL_ia32cap", "~0x4000000000000000:~0x40000", 1);
  // Of one that writes to a disk of the boot server's, nothing comes back: that disk was in its memory.
  if (disk->empty()) keep_sessions();
  const bool gets_gifts = command_line_value(command_line, "rookery.handover") == "1" ||
                          access("/run/rookery/handover", F_OK) == 0;
  start_system(report, gets_gifts);
}

}  // namespace rookery::guest
