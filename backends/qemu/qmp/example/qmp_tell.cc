// qmp_tell SOCKET COMMAND [ARGUMENTS-AS-JSON]: gives one command to a running QEMU (started with
// -qmp unix:SOCKET,server=on,wait=off) and prints the answer, and the events that came before it. Shows all
// that a program needs around libqmp: a socket, a clock, and one loop.
#include <poll.h>
#include <qmp/qmp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
  const auto arguments = qmp::Value::parse(argc > 3 ? argv[3] : "{}");
  sockaddr_un address{};
  if (argc < 3 || !arguments || std::strlen(argv[1]) >= sizeof address.sun_path) {
    std::fprintf(stderr, "usage: %s SOCKET COMMAND [ARGUMENTS-AS-JSON]\n", argv[0]);
    return 2;
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, argv[1], std::strlen(argv[1]) + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::perror(argv[1]);
    return 1;
  }
  const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch(); };

  int result = -1;
  qmp::Client client({.event =
                          [](const qmp::Event& event) {
                            std::printf("event %s %s\n", event.name.c_str(), event.data.dump().c_str());
                          },
                      .ended =
                          [&result](const std::string& reason) {
                            std::fprintf(stderr, "the connection ended: %s\n", reason.c_str());
                            if (result < 0) result = 1;
                          }},
                     now());
  client.execute({argv[2], *arguments}, now(), [&result](const qmp::Reply& reply) {
    if (const auto* value = std::get_if<qmp::Value>(&reply)) {
      std::printf("%s\n", value->dump().c_str());
      result = 0;
    } else {
      std::fprintf(stderr, "%s\n", std::get<qmp::Failure>(reply).message.c_str());
      result = 1;
    }
  });
  while (result < 0) {
    const std::string output = client.take_output();
    if (!output.empty() && ::send(fd, output.data(), output.size(), MSG_NOSIGNAL) < 0) client.lost("its end");
    int wait = -1;
    if (const auto deadline = client.deadline()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - now());
      wait = left.count() > 0 ? static_cast<int>(left.count()) : 0;
    }
    pollfd ready{fd, POLLIN, 0};
    if (::poll(&ready, 1, wait) > 0) {
      std::array<char, 4096> block;
      const ssize_t got = ::read(fd, block.data(), block.size());
      if (got <= 0) {
        client.lost("its end");
      } else {
        client.receive({block.data(), static_cast<std::size_t>(got)}, now());
      }
    }
    client.expire(now());
  }
  ::close(fd);
  return result;
}
