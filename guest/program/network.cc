#include "guest/program/network.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/unique_fd.h"
#include "guest/program/devices.h"
#include "guest/program/system.h"
#include "guest/protocol/agent_protocol.h"

namespace rookery::guest {
namespace {

constexpr Duration kNicPatience = std::chrono::seconds(10);

ifreq request_for(const std::string& name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  return request;
}

Result<sockaddr> socket_address(const std::string& dotted) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (inet_pton(AF_INET, dotted.c_str(), &address.sin_addr) != 1)
    return fail("'" + dotted + "' is no address");
  sockaddr plain{};
  std::memcpy(&plain, &address, sizeof plain);
  return plain;
}

Status set_flags(const std::string& name, short flags) {
  const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = request_for(name);
  if (ioctl(socket_fd.get(), SIOCGIFFLAGS, &request) != 0) return fail_errno(name);
  request.ifr_flags = static_cast<short>(request.ifr_flags | flags);
  if (ioctl(socket_fd.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno("setting " + name + " up");
  return {};
}

}  // namespace

Interfaces find_interfaces() {
  std::vector<Interface> found;
  const std::string folder = "/sys/class/net/";
  for (const std::string& name : list_folder(folder)) {
    if (std::atoi(read_text(folder + name + "/type").value_or("").c_str()) != ARPHRD_ETHER) continue;
    Interface interface {
      name, std::atoi(read_text(folder + name + "/ifindex").value_or("").c_str()), {}
    };
    unsigned m[6];
    if (std::sscanf(read_text(folder + name + "/address").value_or("").c_str(), "%x:%x:%x:%x:%x:%x", &m[0],
                    &m[1], &m[2], &m[3], &m[4], &m[5]) != 6) {
      continue;
    }
    for (std::size_t i = 0; i < 6; ++i) interface.mac[i] = static_cast<std::uint8_t>(m[i]);
    found.push_back(interface);
  }
  std::sort(found.begin(), found.end(),
            [](const Interface& a, const Interface& b) { return a.index < b.index; });
  Interfaces interfaces;
  for (const Interface& interface : found) {
    auto& place = agent::is_management_address(interface.mac) ? interfaces.management : interfaces.data;
    if (!place) place = interface;
  }
  return interfaces;
}

Interfaces wait_for_interfaces(Devices& devices) {
  const Time end = now() + kNicPatience;
  for (;;) {
    Interfaces found = find_interfaces();
    if (found.data || !devices.wait_for_more(end)) return found;
    devices.load_drivers();
  }
}

Status bring_up(const std::string& name) {
  return set_flags(name, IFF_UP);
}

Status bring_up_unmanaged(const std::string& name) {
  (void)write_text("/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6", "1");
  return set_flags(name, IFF_UP | IFF_NOARP);
}

Status configure(const std::string& name, const Ipv4Settings& settings) {
  const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto set = [&](unsigned long what, const std::string& value) -> Status {
    const Result<sockaddr> address = socket_address(value);
    if (!address) return tl::unexpected(address.error());
    ifreq request = request_for(name);
    request.ifr_addr = *address;
    if (ioctl(socket_fd.get(), what, &request) != 0) return fail_errno("giving " + name + " " + value);
    return {};
  };
  ROOKERY_TRY(set(SIOCSIFADDR, settings.address));
  ROOKERY_TRY(set(SIOCSIFNETMASK, settings.netmask));
  if (settings.router.empty()) return {};
  const Result<sockaddr> router = socket_address(settings.router), any = socket_address("0.0.0.0");
  if (!router) return tl::unexpected(router.error());
  rtentry route{};
  route.rt_dst = route.rt_genmask = *any;
  route.rt_gateway = *router;
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  if (ioctl(socket_fd.get(), SIOCADDRT, &route) != 0)
    return fail_errno("the default route by " + settings.router);
  return {};
}

std::string to_text(const std::array<std::uint8_t, 6>& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                mac[5]);
  return text;
}

}  // namespace rookery::guest
