#include "guest/program/boot_rom.h"

#include <arpa/inet.h>
#include <cpuid.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>

#include "base/unique_fd.h"
#include "guest/program/system.h"

namespace rookery::guest {
namespace {

constexpr const char* kFetchFolder = "/run/rookery/fetch";
// For one attempt. A server that lost its power in the middle leaves the reader waiting for all of it: the
// transfer begins anew. (busybox's own limit on silence, wget -T, crashes in Debian 12's static build.)
constexpr Duration kScriptTimeout = std::chrono::seconds(10);
constexpr Duration kImageTimeout = std::chrono::seconds(30);
constexpr int kAttempts = 5;

ipxe::Setting address_setting(const std::string& dotted) {
  ipxe::Setting setting{ByteBuffer(4), ipxe::SettingType::ipv4};
  if (inet_pton(AF_INET, dotted.c_str(), setting.bytes.data()) != 1) setting.bytes.clear();
  return setting;
}

void pause_for(Duration duration) {
  timespec time{};
  time.tv_sec = static_cast<time_t>(duration / std::chrono::seconds(1));
  time.tv_nsec = static_cast<long>((duration % std::chrono::seconds(1)).count());
  while (nanosleep(&time, &time) != 0) {
  }
}

}  // namespace

bool is_running_kernel(std::string_view arguments) {
  const std::string digest = command_line_value(arguments, kKernelDigest);
  return !digest.empty() && digest == command_line_value(kernel_command_line(), kKernelDigest);
}

BootRom::BootRom(const Interface& nic, const Lease& lease, Report& report)
    : nic_(nic), lease_(lease), report_(report), user_mode_linux_(runs_in_user_mode_linux()) {}

Result<ipxe::BootUrl> BootRom::script_url() const {
  const std::string name = lease_.boot_file();
  if (name.empty()) return fail("the answer of " + lease_.server() + " names no boot script");
  const std::string server = lease_.next_server();
  if (name.find("://") != std::string::npos || server.empty()) return ipxe::parse_url(name);
  ipxe::BootUrl base;
  base.scheme = "tftp";
  base.host = server;
  base.path = "/";
  return ipxe::resolve_url(base, name);
}

Status BootRom::fetch(const ipxe::BootUrl& url, const std::string& file, Duration limit,
                      const ipxe::FetchOptions& options) {
  std::vector<std::string> argv;
  if (url.scheme == "http") {
    argv = {"/bin/busybox", "wget", "-q", "-O", file};
    if (options.form) argv.insert(argv.end(), {"--post-data", *options.form});
    argv.push_back(url.to_string());
  } else if (url.scheme == "tftp") {
    if (options.form) return fail("params are sent by http, and not by tftp");
    argv = {"/bin/busybox", "tftp", "-g", "-b", "1428", "-l", file, "-r", url.path.substr(1), url.host};
    if (url.port != 0) argv.push_back(std::to_string(url.port));
  } else {
    return fail("the scheme '" + url.scheme + "' is not understood by the virtual boot ROM");
  }
  ROOKERY_TRY(make_folders(kFetchFolder));
  const bool asked = options.silence.count() > 0;  // the script says how long to wait
  const Time end = now() + options.silence;
  for (int attempt = 1;; ++attempt) {
    unlink(file.c_str());
    Status fetched = asked ? run_program(argv, options.silence, "/", file) : run_program(argv, limit);
    if (fetched) return {};
    // A server that answers has had its say; one that does not may be starting, or the way to it lossy.
    const bool answered = fetched.error().message.find("server returned error") != std::string::npos ||
                          fetched.error().message.find("server error") != std::string::npos;
    if (answered) return fetched;
    if (!asked && attempt == kAttempts) return fail(fetched.error().message + " (tried 5 times)");
    if (asked && now() >= end) return fetched;
    const Duration pause = std::chrono::seconds(1 << std::min(attempt - 1, kAttempts));
    pause_for(asked ? std::min(pause, end - now()) : pause);
  }
}

Result<std::string> BootRom::fetch_script(const ipxe::BootUrl& url, const ipxe::FetchOptions& options) {
  const std::string file = std::string(kFetchFolder) + "/script";
  ROOKERY_TRY(fetch(url, file, kScriptTimeout, options));
  Result<std::string> text = read_text(file, ipxe::kScriptMax);
  unlink(file.c_str());
  return text;
}

Result<std::string> BootRom::fetch_image(const ipxe::BootUrl& url, ipxe::ImageUse use,
                                         std::string_view arguments, const ipxe::FetchOptions& options) {
  if (!image_asked_) report_.stage(agent::BootStage::kernel, url.to_string());
  image_asked_ = true;
  if (use == ipxe::ImageUse::kernel && (user_mode_linux_ || is_running_kernel(arguments)))
    return std::string();
  const std::string file = std::string(kFetchFolder) + "/" + std::to_string(++files_);
  Status fetched = fetch(url, file, kImageTimeout, options);
  if (fetched && options.extract) {
    const std::string packed = file + ".gz";
    rename(file.c_str(), packed.c_str());
    fetched = run_program({"/bin/busybox", "gunzip", packed}, kImageTimeout);
    if (!fetched) unlink(packed.c_str());
  }
  image_failed_ = !fetched;
  if (!fetched) {
    unlink(file.c_str());  // a part of it
    return tl::unexpected(fetched.error());
  }
  return file;
}

void BootRom::drop_image(const std::string& handle) {
  unlink(handle.c_str());
}

// The mark of a bzImage (Documentation/arch/x86/boot.rst), or an ELF file.
bool BootRom::is_kernel(const std::string& handle) {
  const UniqueFd file(open(handle.c_str(), O_RDONLY | O_CLOEXEC));
  char start[0x206];
  if (!file || read(file.get(), start, sizeof start) != static_cast<ssize_t>(sizeof start)) return false;
  const std::string_view bytes(start, sizeof start);
  return bytes.substr(0x202) == "HdrS" || bytes.starts_with(
                                              "\x7f"
                                              "ELF");
}

std::optional<ipxe::Setting> BootRom::setting(std::string_view scope, std::string_view name) {
  using ipxe::Setting;
  using ipxe::SettingType;
  if (!scope.empty() && !scope.starts_with("net0") && !scope.starts_with("netX") &&
      !scope.starts_with("dhcp")) {
    return std::nullopt;
  }
  const auto text = [](const std::string& value) {
    return value.empty() ? std::optional<Setting>() : Setting::text(value);
  };
  if (name == "mac") return Setting{ByteBuffer(nic_.mac.begin(), nic_.mac.end()), SettingType::hex};
  if (name == "ip") return address_setting(lease_.value("ip"));
  if (name == "netmask") return address_setting(lease_.netmask());
  if (name == "gateway") return address_setting(lease_.first("router"));
  if (name == "dns") return address_setting(lease_.first("dns"));
  if (name == "next-server") return address_setting(lease_.next_server());
  if (name == "dhcp-server") return address_setting(lease_.server());
  if (name == "hostname") return text(lease_.value("hostname"));
  if (name == "domain") return text(lease_.value("domain"));
  if (name == "root-path") return text(lease_.value("rootpath"));
  if (name == "filename") return text(lease_.boot_file());
  if (name == "user-class") return Setting::text("iPXE");
  if (name == "platform") return Setting::text(user_mode_linux_ ? "uml" : "linux");
  if (name == "buildarch") return Setting::text("x86_64");
  if (name == "ifname") return Setting::text("net0");
  if (name == "version") return Setting::text("1.21.1+rookery");  // of the language that is understood
  if (name == "uuid") {
    const auto uuid = machine_uuid(nic_.mac);
    return Setting{ByteBuffer(uuid.begin(), uuid.end()), SettingType::uuid};
  }
  return std::nullopt;
}

Status BootRom::bring_up(std::string_view interface, bool) {
  if (interface.empty() || interface == "net0" || interface == "netX") return {};  // it is, and has its lease
  return fail("there is no interface " + std::string(interface.substr(0, 40)));
}

Status BootRom::sleep(Duration duration) {
  pause_for(duration);
  return {};
}

std::uint32_t BootRom::cpu_features(bool extended, bool ecx) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(extended ? 0x80000001U : 1U, &a, &b, &c, &d) == 0) return 0;
  return ecx ? c : d;
}

void BootRom::print(std::string_view line) {
  say(line);
}

void BootRom::guessed(std::string_view what) {
  report_.guessed(std::string(what));
}

}  // namespace rookery::guest
