// What DHCP gave this machine: recorded by udhcpc's script (which is this program), handed from stage one to
// stage two as a file, read by whoever needs it. A plain value.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "guest/program/network.h"

namespace rookery::guest {

inline constexpr const char* kLeaseFile = "/run/rookery/lease";

class Lease {
 public:
  static Result<Lease> read();
  // The value under udhcpc's name for it (ip, subnet, router, siaddr, boot_file, bootfile, opt175, …), or "".
  std::string value(std::string_view name) const;
  // The first of several, where an option lists them.
  std::string first(std::string_view name) const;

  std::string netmask() const;
  std::string server() const;  // who answered
  std::string next_server() const;
  std::string boot_file() const;
  std::string hostname() const;  // option 12, if it is one that a machine can bear

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

// udhcpc's script: keeps the environment of a bound lease.
int record_lease(std::string_view event);

// Asks as a PXE client does; configures the interface and records the lease. Bounded: about 20 s without
// answer.
Result<Lease> ask_by_dhcp(const Interface& interface);

// The 16 bytes by which this client calls itself (option 97), made from its MAC: an RFC 9562 §5.8 UUID.
std::array<std::uint8_t, 16> machine_uuid(const std::array<std::uint8_t, 6>& mac);

}  // namespace rookery::guest
