#include "backends/libvirt/uri.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

namespace rookery::backends {
namespace {

constexpr std::size_t kLongest = 1024;
constexpr std::string_view kRoot = "root=";  // the only parameter of /embed
// In the order of LibvirtDriver.
constexpr std::array<std::string_view, 5> kDrivers{"qemu", "test", "xen", "lxc", "esx"};
// libvirt's remote driver (src/remote/remote_sockets.c there).
constexpr std::array<std::string_view, 7> kTransports{"unix", "ssh",    "tls",    "tcp",
                                                      "ext",  "libssh", "libssh2"};

template <std::size_t N>
std::optional<std::size_t> index_of(const std::array<std::string_view, N>& words, std::string_view word) {
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) return std::nullopt;
  return static_cast<std::size_t>(found - words.begin());
}

}  // namespace

std::string LibvirtUri::embed_root() const {
  return embedded() && query.starts_with(kRoot) ? query.substr(kRoot.size()) : "";
}

bool LibvirtUri::runs_as_us() const {
  if (driver != LibvirtDriver::qemu || !host.empty()) return false;
  if (!transport.empty() && transport != "unix" && transport != "ext") return false;
  return path == "/embed" || path == "/session";
}

std::string LibvirtUri::text() const {
  return fmt::format("{}{}{}://{}{}{}{}", kDrivers[static_cast<std::size_t>(driver)],
                     transport.empty() ? "" : "+", transport, host, path, query.empty() ? "" : "?", query);
}

Result<LibvirtUri> parse_libvirt_uri(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return fail(ErrorKind::usage, fmt::format("'{}' is no URI of libvirt: {}", text.substr(0, 80), why));
  };
  if (text.size() > kLongest) return wrong("it is too long");
  if (std::any_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c == 0x7f; }))
    return wrong("it has a space or a control character");
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) return wrong("expected something like qemu:///session");
  const std::string_view scheme = text.substr(0, colon);
  const std::string_view driver = scheme.substr(0, scheme.find('+'));
  const auto known = index_of(kDrivers, driver);
  if (!known) {
    return wrong(fmt::format("there is no driver '{}'; Rookery knows {}", driver, fmt::join(kDrivers, ", ")));
  }
  LibvirtUri uri;
  uri.driver = static_cast<LibvirtDriver>(*known);
  if (driver.size() < scheme.size()) {
    uri.transport = scheme.substr(driver.size() + 1);
    if (!index_of(kTransports, uri.transport)) {
      return wrong(fmt::format("there is no transport '{}'; libvirt has {}", uri.transport,
                               fmt::join(kTransports, ", ")));
    }
  }
  const std::string_view rest = text.substr(colon + 3);
  const std::string_view place = rest.substr(0, rest.find('?'));
  if (place.size() < rest.size()) uri.query = rest.substr(place.size() + 1);
  const std::size_t slash = std::min(place.find('/'), place.size());
  uri.host = place.substr(0, slash);
  uri.path = place.substr(slash);
  if (uri.driver == LibvirtDriver::qemu && uri.path != "/embed" && uri.path != "/session" &&
      uri.path != "/system")
    return wrong("QEMU's paths are /embed, /session and /system");
  if (uri.embedded() && !(uri.transport.empty() && uri.host.empty()))
    return wrong("/embed is within our own process, and nowhere else");
  if (uri.embedded() && !uri.query.empty() &&
      (!uri.embed_root().starts_with("/") || uri.query.find_first_of("%&;") != std::string::npos))
    return wrong("/embed takes nothing but ?root=/A/FOLDER, as it is written");
  return uri;
}

}  // namespace rookery::backends
