#include "guest/program/lease.h"

#include <unistd.h>

#include <algorithm>

#include "guest/program/system.h"

namespace rookery::guest {
namespace {

constexpr const char* kLeaseScript = "/run/rookery/lease-script";

bool is_udhcpc_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string hex(const std::uint8_t* bytes, std::size_t count) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::vector<std::string> udhcpc(const Interface& interface, const char* attempts, const char* pause) {
  const std::string uuid = hex(machine_uuid(interface.mac).data(), 16);
  return {
      "/bin/busybox", "udhcpc", "-f", "-q", "-n", "-i", interface.name, "-s", kLeaseScript, "-t", attempts,
      "-T", pause,
      // RFC 4578 §2: what a PXE client says of itself: architecture 0 (x86 BIOS), UNDI 2.1, its identifier.
      "-V", "PXEClient:Arch:00000:UNDI:002001", "-x", "93:0000", "-x", "94:010201", "-x", "97:00" + uuid,
      // RFC 3004: iPXE, whose scripts we understand; and its own option 175 with what we can do of it
      // (sub-options 0x13 HTTP, 0x15 TFTP: ipxe/features.h).
      "-x", "77:69505845", "-x", "175:130101150101",
      // Next to what udhcpc asks for anyway (1, 3, 6, 12, 15, 28, 42):
      "-O", "tftp", "-O", "bootfile", "-O", "43", "-O", "175"};
}

}  // namespace

Result<Lease> Lease::read() {
  const Result<std::string> text = read_text(kLeaseFile);
  if (!text) return tl::unexpected(text.error());
  Lease lease;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::string_view entry = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    lease.values_.emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  if (lease.value("ip").empty()) return fail("the lease holds no address");
  return lease;
}

std::string Lease::value(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::string() : found->second;
}
std::string Lease::first(std::string_view name) const {
  const std::string all = value(name);
  return all.substr(0, all.find(' '));
}
std::string Lease::netmask() const {
  const std::string mask = value("subnet");
  return mask.empty() ? "255.255.255.0" : mask;
}
std::string Lease::server() const {
  const std::string id = first("serverid");
  return id.empty() ? value("siaddr") : id;
}
std::string Lease::next_server() const {
  for (const char* name : {"siaddr", "tftp"}) {
    std::string address = value(name);
    if (!address.empty() && address != "0.0.0.0") return address;
  }
  return server();
}
std::string Lease::boot_file() const {
  const std::string option = value("bootfile");
  return option.empty() ? value("boot_file") : option;
}
std::string Lease::hostname() const {
  const std::string name = value("hostname");
  const bool good = !name.empty() && name.size() <= 63 && name.front() != '-' &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                             c == '-' || c == '.';
                    });
  return good ? name : std::string();
}

int record_lease(std::string_view event) {
  if (event != "bound" && event != "renew") return 0;
  std::string text;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    if (is_udhcpc_name(variable.substr(0, variable.find('=')))) text.append(variable).push_back('\0');
  }
  return write_text(kLeaseFile, text) ? 0 : 1;
}

Result<Lease> ask_by_dhcp(const Interface& interface) {
  unlink(kLeaseScript);
  unlink(kLeaseFile);
  char self[256];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length < 0) return fail_errno("/proc/self/exe");
  self[length] = '\0';
  if (symlink(self, kLeaseScript) != 0) return fail_errno(kLeaseScript);

  // Quick at first, for a frame lost; then patient, for a server or a switch that is still waking up.
  Status asked = run_program(udhcpc(interface, "4", "1"), std::chrono::seconds(30));
  if (!asked) asked = run_program(udhcpc(interface, "4", "4"), std::chrono::seconds(60));
  if (!asked) {
    const bool silent = asked.error().message.find("no lease") != std::string::npos;
    return fail(silent ? "no answer from any DHCP server on " + interface.name + " (asked 8 times in 20 s)"
                       : asked.error().message);
  }
  Result<Lease> lease = Lease::read();
  if (!lease) return lease;
  ROOKERY_TRY(configure(interface.name, {lease->value("ip"), lease->netmask(), lease->first("router")}));
  return lease;
}

std::array<std::uint8_t, 16> machine_uuid(const std::array<std::uint8_t, 6>& mac) {
  // "Rooker", version 8 (custom), "y", variant 1, then the MAC.
  std::array<std::uint8_t, 16> uuid{0x52, 0x6f, 0x6f, 0x6b, 0x65, 0x72, 0x80, 0x79, 0x80, 0x00};
  std::copy(mac.begin(), mac.end(), uuid.begin() + 10);
  return uuid;
}

}  // namespace rookery::guest
