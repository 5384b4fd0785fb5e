#include "netsim/ip_address.h"

#include <arpa/inet.h>

namespace rookery::netsim {

std::string IpAddress::text() const {
  char buffer[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(is_v6_ ? AF_INET6 : AF_INET, bytes_.data(), buffer, sizeof buffer);
  return buffer;
}

}  // namespace rookery::netsim
