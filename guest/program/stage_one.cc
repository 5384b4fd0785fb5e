// Stage one, the virtual boot ROM: what firmware does for machines that have some. In order: the kernel's
// file systems, the NICs, DHCP, the boot script, the second stage's initramfs and its digest, and on into it.
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "guest/program/boot_rom.h"
#include "guest/program/devices.h"
#include "guest/program/stages.h"
#include "guest/program/system.h"
#include "guest/program/unpack.h"

namespace rookery::guest {
namespace {

using agent::BootStage;

constexpr const char* kNextRoot = "/next";

// What the script chose, as files in the order in which they are laid over each other. The "kernel" is among
// them if the script selected an initramfs, which is how it says: keep your kernel.
std::vector<ipxe::BootImage> initrds_of(const ipxe::BootChoice& choice) {
  std::vector<ipxe::BootImage> images;
  if (choice.kernel.use == ipxe::ImageUse::initrd) images.push_back(choice.kernel);
  images.insert(images.end(), choice.initrds.begin(), choice.initrds.end());
  return images;
}

Status check_digest(const std::string& wanted, const ipxe::BootImage& image) {
  if (wanted.size() != 64 || wanted.find_first_not_of("0123456789abcdef") != std::string::npos)
    return fail("the digest of " + image.name + " on the boot command line is not one of SHA-256");
  const std::string list = "/run/rookery/fetch/sha256";
  ROOKERY_TRY(write_text(list, wanted + "  " + image.handle + "\n"));
  if (!run_program({"/bin/busybox", "sha256sum", "-s", "-c", list}, std::chrono::minutes(1)))
    return fail("digest of " + image.url.to_string() + " is not " + wanted + ", as the script says");
  return {};
}

// rookery.initrd.sha256= on the boot command line: one digest per initrd, in order, with commas between.
Status check_digests(std::string_view digests, const std::vector<ipxe::BootImage>& images) {
  if (digests.empty()) {
    say("the boot command line gives no digests (rookery.initrd.sha256=): going on unchecked");
    return {};
  }
  std::vector<std::string> wanted;
  for (std::string_view rest = digests;;) {
    wanted.emplace_back(rest.substr(0, rest.find(',')));
    if (rest.find(',') == std::string_view::npos) break;
    rest.remove_prefix(wanted.back().size() + 1);
  }
  if (wanted.size() != images.size()) {
    return fail("the boot command line gives " + std::to_string(wanted.size()) + " digests for " +
                std::to_string(images.size()) + " initrds");
  }
  for (std::size_t i = 0; i < images.size(); ++i) ROOKERY_TRY(check_digest(wanted[i], images[i]));
  return {};
}

Status append_file(int to, const std::string& from) {
  const UniqueFd source(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source) return fail_errno(from);
  std::string chunk(65536, '\0');
  while (true) {
    const ssize_t count = read(source.get(), chunk.data(), chunk.size());
    if (count < 0) return fail_errno(from);
    if (count == 0) return {};
    if (write(to, chunk.data(), static_cast<std::size_t>(count)) != count) return fail_errno(from);
  }
}

// Starts the script's kernel, if this kernel can (kexec_file_load(2)): comes back only with the reason why
// not.
Status try_kexec(const ipxe::BootChoice& choice, const std::vector<ipxe::BootImage>& images, Report& report) {
  // Documentation/ABI/stable/sysfs-hypervisor-xen: PV, PVH, HVM. A PV kernel cannot jump to another one; one
  // of PVH asks for a soft reset first, which libxl gives to HVM only.
  if (read_text("/sys/hypervisor/guest_type").value_or("").starts_with("PV"))
    return fail("Xen's pv and pvh run the image's own kernel and start no other; without chipset: they do");
  const UniqueFd kernel(open(choice.kernel.handle.c_str(), O_RDONLY | O_CLOEXEC));
  if (!kernel) return fail_errno(choice.kernel.url.to_string());
  const std::string joined = "/run/rookery/fetch/initrd";
  {  // kexec takes no file that is open for writing
    const UniqueFd written(open(joined.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!written) return fail_errno(joined);
    for (const ipxe::BootImage& image : images) {
      ROOKERY_TRY(append_file(written.get(), image.handle));
      unlink(image.handle.c_str());
    }
  }
  const UniqueFd initrd(open(joined.c_str(), O_RDONLY | O_CLOEXEC));
  if (!initrd) return fail_errno(joined);
  std::string command_line = choice.kernel.arguments;
  // Of this machine, and so for any kernel in it: how fast its clock is, where it cannot find out.
  constexpr const char* kClock = "tsc_early_khz";
  if (const std::string clock = command_line_value(kernel_command_line(), kClock); !clock.empty())
    command_line += std::string(" ") + kClock + "=" + clock;
  const unsigned long flags = images.empty() ? KEXEC_FILE_NO_INITRAMFS : 0;
  if (syscall(SYS_kexec_file_load, kernel.get(), initrd.get(), command_line.size() + 1, command_line.c_str(),
              flags) != 0) {
    return fail_errno("kexec");
  }
  if (Management* const management = report.management()) management->flush(std::chrono::seconds(2));
  reboot(static_cast<int>(LINUX_REBOOT_CMD_KEXEC));
  return fail_errno("kexec");
}

Status unpack(const std::vector<ipxe::BootImage>& images) {
  ROOKERY_TRY(mount_at("tmpfs", kNextRoot, "tmpfs", 0, "mode=0755"));
  for (const ipxe::BootImage& image : images) {
    const Status unpacked = unpack_initramfs(image.handle, kNextRoot);
    if (!unpacked) return fail(image.name + " cannot be unpacked: " + unpacked.error().message);
  }
  if (access((std::string(kNextRoot) + "/init").c_str(), X_OK) != 0)
    return fail("the second stage has no /init");
  return {};
}

// Keeps this kernel and goes on in the second stage's user space. Comes back only with the reason why not.
Status enter_next_root(const ipxe::BootChoice& choice, const ipxe::BootUrl& script,
                       const std::vector<ipxe::BootImage>& images, Report& report) {
  ROOKERY_TRY(unpack(images));
  ROOKERY_TRY(write_text("/run/rookery/cmdline", choice.kernel.arguments + "\n"));
  ROOKERY_TRY(write_text("/run/rookery/script-url", script.to_string() + "\n"));
  for (const char* left : {"/run/rookery/fetch/sha256", "/run/rookery/lease-script"}) unlink(left);
  unlink(choice.kernel.handle.c_str());  // one that runs already
  rmdir("/run/rookery/fetch");
  // The next program begins its own session; what this one said must have arrived by then.
  if (Management* const management = report.management()) management->flush(std::chrono::seconds(2));
  ROOKERY_TRY(switch_root(kNextRoot));
  char name[] = "/init";
  char* argv[] = {name, nullptr};
  execv(name, argv);
  return fail_errno("/init");
}

ipxe::ScriptEnd run_boot_script(BootRom& rom, const ipxe::BootUrl& url, Report& report) {
  const Result<std::string> text = rom.fetch_script(url, {});
  if (!text)
    report.failed(BootStage::script, "cannot fetch " + url.to_string() + ": " + text.error().message);
  Result<ipxe::ScriptEnd> end = ipxe::run_script(*text, url, rom);
  const BootStage stage = rom.image_failed() ? BootStage::kernel : BootStage::script;
  if (!end) report.failed(stage, url.to_string() + ": " + end.error().message);
  if (!end->boot) {
    const bool by_power = end->power != ipxe::ScriptEnd::Power::none;
    std::string reason =
        url.to_string() + ": " + (by_power ? end->power_line : "the script ended without booting");
    if (end->exit_code != 0) reason += " (exit " + std::to_string(end->exit_code) + ")";
    if (!end->last_caught.empty()) reason += (by_power ? "; before that, " : "; ") + end->last_caught;
    if (end->power == ipxe::ScriptEnd::Power::restart) report.restarting(reason);
    report.failed(stage, reason);
  }
  return std::move(*end);
}

}  // namespace

void stage_one() {
  mount_kernel_file_systems();
  Devices devices;
  devices.load_drivers();  // of a kernel with modules
  const Interfaces interfaces = wait_for_interfaces(devices);
  (void)bring_up("lo");
  Report report(agent::Program::stage1, agent::Source::network, interfaces.management);
  if (!interfaces.data) report.failed(BootStage::dhcp, "the machine has no Ethernet interface to boot from");
  const Interface& nic = *interfaces.data;

  report.stage(BootStage::dhcp, nic.name + " " + to_text(nic.mac));
  if (const Status up = bring_up(nic.name); !up) report.failed(BootStage::dhcp, up.error().message);
  const Result<Lease> lease = ask_by_dhcp(nic);
  if (!lease) report.failed(BootStage::dhcp, lease.error().message);

  BootRom rom(nic, *lease, report);
  const Result<ipxe::BootUrl> url = rom.script_url();
  if (!url) report.failed(BootStage::dhcp, url.error().message);
  report.stage(BootStage::script, lease->value("ip") + " from " + lease->server() + ", " + url->to_string());
  const ipxe::ScriptEnd end = run_boot_script(rom, *url, report);

  const std::vector<ipxe::BootImage> images = initrds_of(*end.boot);
  const std::string digests = command_line_value(end.boot->kernel.arguments, "rookery.initrd.sha256");
  if (const Status good = check_digests(digests, images); !good) {
    report.failed(BootStage::kernel, good.error().message);
  }
  const ipxe::BootImage& kernel = end.boot->kernel;
  const std::string kernel_digest = command_line_value(kernel.arguments, kKernelDigest);
  if (kernel.use == ipxe::ImageUse::kernel && !runs_in_user_mode_linux() &&
      !is_running_kernel(kernel.arguments)) {
    Status status = kernel_digest.empty() ? Status() : check_digest(kernel_digest, kernel);
    if (status) status = try_kexec(*end.boot, images, report);
    report.failed(BootStage::kernel, kernel.url.to_string() + ": " + status.error().message);
  }
  if (images.empty()) report.failed(BootStage::kernel, "the script boots no initrd, and this kernel stays");
  const Status status = enter_next_root(*end.boot, *url, images, report);
  report.failed(BootStage::kernel, status.error().message);
}

}  // namespace rookery::guest
