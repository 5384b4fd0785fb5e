// The init of a bare guest that pings its neighbour three times, sleeps for half a minute and powers off:
// what the public reference controller of virtual time was measured with (ping_bench.cc). Its address follows
// from its NIC's.
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>

namespace {

constexpr const char* kInterface = "eth0";
constexpr unsigned kPings = 3, kSleep = 30;

sockaddr_in address(unsigned index) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(0x0a000000u + index);
  return to;
}

void put(ifreq& request, const sockaddr_in& value) {
  std::memcpy(&request.ifr_addr, &value, sizeof value);
}

// One echo request and its reply (RFC 792).
bool ping(unsigned index) {
  const int icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  icmphdr echo{};
  echo.type = ICMP_ECHO;
  echo.checksum = static_cast<unsigned short>(~(ICMP_ECHO));  // of this header, in the host's order
  const sockaddr_in to = address(index);
  if (sendto(icmp, &echo, sizeof echo, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0)
    return false;
  std::array<unsigned char, 256> packet{};
  for (;;) {
    if (recv(icmp, packet.data(), packet.size(), 0) < 28) return false;
    if (packet[20] == ICMP_ECHOREPLY) break;
  }
  close(icmp);
  return true;
}

}  // namespace

int main() {
  const int control = socket(AF_INET, SOCK_DGRAM, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, kInterface, IFNAMSIZ - 1);
  bool good = ioctl(control, SIOCGIFHWADDR, &request) == 0;
  const auto* mac = reinterpret_cast<const unsigned char*>(request.ifr_hwaddr.sa_data);
  const unsigned own = mac[4] * 256u + mac[5], neighbour = mac[2] * 256u + mac[3];
  put(request, address(own));
  good = good && ioctl(control, SIOCSIFADDR, &request) == 0;
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  good = good && ioctl(control, SIOCSIFFLAGS, &request) == 0;
  for (unsigned i = 0; good && i < kPings; ++i) {
    good = ping(neighbour);
    sleep(1);
  }
  sleep(kSleep);
  std::printf(good ? "answered\n" : "failed\n");
  std::fflush(stdout);
  reboot(RB_POWER_OFF);
}
