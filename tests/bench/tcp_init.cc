// The init of two bare guests that have a cable between them: one sends to the other over TCP, which says how
// fast (vector_tcp.py). On the kernel's command line: tcp=send or tcp=receive, and bytes=N.
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr const char* kInterface = "vec0";
constexpr const char *kSender = "10.0.0.1", *kReceiver = "10.0.0.2";
constexpr unsigned short kPort = 5001;

sockaddr_in address(const char* text, unsigned short port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, text, &to.sin_addr);
  return to;
}

bool bring_up(const char* own) {
  const int control = socket(AF_INET, SOCK_DGRAM, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, kInterface, IFNAMSIZ - 1);
  const auto set = [&](const char* text, unsigned long what) {
    const sockaddr_in value = address(text, 0);
    std::memcpy(&request.ifr_addr, &value, sizeof value);
    return ioctl(control, what, &request) == 0;
  };
  const bool addressed = set(own, SIOCSIFADDR) && set("255.255.255.0", SIOCSIFNETMASK);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return addressed && ioctl(control, SIOCSIFFLAGS, &request) == 0;
}

int send_all(std::size_t bytes) {
  const sockaddr_in to = address(kReceiver, kPort);
  int stream = socket(AF_INET, SOCK_STREAM, 0);
  while (connect(stream, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    close(stream);
    usleep(10'000);  // the other guest is still starting
    stream = socket(AF_INET, SOCK_STREAM, 0);
  }
  const std::vector<char> block(1 << 18);
  for (std::size_t sent = 0; sent < bytes;) {
    const ssize_t n = write(stream, block.data(), std::min(block.size(), bytes - sent));
    if (n <= 0) return 1;
    sent += static_cast<std::size_t>(n);
  }
  close(stream);
  return 0;
}

int receive_all(std::size_t bytes) {
  const sockaddr_in own = address(kReceiver, kPort);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 || listen(listener, 1) != 0)
    return 1;
  const int stream = accept(listener, nullptr, nullptr);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<char> block(1 << 18);
  std::size_t got = 0;
  for (ssize_t n; (n = read(stream, block.data(), block.size())) > 0;) got += static_cast<std::size_t>(n);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (got != bytes) return 1;
  std::printf("received %zu bytes in %.6f s\n", got, took.count());
  return 0;
}

}  // namespace

int main() {
  mkdir("/proc", 0755);
  if (mount("proc", "/proc", "proc", 0, nullptr) != 0) return 1;
  std::string word, role;
  std::size_t bytes = 0;
  std::ifstream line("/proc/cmdline");
  while (line >> word) {
    if (word.starts_with("tcp=")) role = word.substr(4);
    if (word.starts_with("bytes=")) bytes = std::strtoull(word.c_str() + 6, nullptr, 10);
  }
  const bool sends = role == "send";
  int result = 1;
  if (bring_up(sends ? kSender : kReceiver)) result = sends ? send_all(bytes) : receive_all(bytes);
  if (result != 0) std::printf("failed\n");
  std::fflush(stdout);
  sync();
  reboot(RB_POWER_OFF);
}
