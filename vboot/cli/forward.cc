// `rookery forward`: TCP ports of machines, here. Each connection is a process of its own, which carries
// bytes both ways and ends with it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "base/unix_socket.h"
#include "vboot/cli/lab_client.h"
#include "vboot/cli/standard_streams.h"
#include "vboot/cli/stream_pump.h"
#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {
namespace {

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

Result<StreamRequest> target_of(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const std::uint16_t port =
      colon == std::string::npos ? 0 : port_of(std::string_view(text).substr(colon + 1)).value_or(0);
  const std::string machine = text.substr(0, colon);
  const bool is_name = !machine.empty() && std::all_of(machine.begin(), machine.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (port != 0 && is_name) return StreamRequest{machine, port, {}};
  std::string hint;
  // As ssh -L has it: the local port first.
  const std::size_t first = machine.find(':');
  if (port != 0 && first != std::string::npos && port_of(machine.substr(0, first)))
    hint = fmt::format("; the local port stands behind it: rookery forward {}:{} {}",
                       machine.substr(first + 1), port, machine.substr(0, first));
  return fail(ErrorKind::usage, fmt::format("expected a machine and one of its TCP ports like n37:80, found "
                                            "'{}'{}",
                                            text, hint));
}

// That there is such a machine is known before anything is said to be served.
Status check_machine(ControlClient& client, const std::string& machine) {
  const auto state = client.call(PsRequest{});
  if (!state) return tl::unexpected<Error>(state.error());
  const auto machines = state->find("machines");
  std::vector<std::string> names;
  for (std::size_t i = 0; machines && i < machines->size(); ++i) {
    names.push_back(text_of(machines->at(i), "name"));
    if (names.back() == machine) return {};
  }
  const std::vector<std::string_view> all(names.begin(), names.end());
  const std::string_view near = nearest_word(machine, all);
  return fail(ErrorKind::usage, fmt::format("no machine '{}' in the lab {}{}", machine, client.lab(),
                                            near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
}

// On the loopback only: a lab is its owner's.
Result<UniqueFd> listen_tcp(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("no socket");
  const int yes = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 ||
      ::listen(fd.get(), SOMAXCONN) != 0) {
    return fail_errno(fmt::format("cannot listen at 127.0.0.1:{}", port));
  }
  return fd;
}

std::string place_of(int listener, const std::string& where) {
  if (where.find('/') != std::string::npos) return where;
  sockaddr_in at{};
  socklen_t size = sizeof at;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size);
  return fmt::format("127.0.0.1:{}", ntohs(at.sin_port));
}

[[noreturn]] void serve(const LabChoice& lab, const StreamRequest& target, UniqueFd peer, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  Result<int> code = 1;
  auto stream = open_stream(lab, target);
  if (stream) {
    code = pump(std::move(*stream), PumpEnds{peer.get(), peer.get(), {}});
  } else {
    code = tl::unexpected<Error>(stream.error());
  }
  if (!code) complain("rookery: " + code.error().message);
  ::_exit(code.value_or(1));
}

}  // namespace

Result<int> run_forward(const LabChoice& lab, const ForwardOptions& options) {
  const auto target = target_of(options.target);
  if (!target) return tl::unexpected<Error>(target.error());
  if (options.stdio) {
    if (!options.where.empty()) return fail(ErrorKind::usage, "--stdio listens nowhere");
    if (lab.json) return fail(ErrorKind::usage, "--stdio has standard output for itself: leave --json away");
    auto stream = open_stream(lab, *target);
    if (!stream) return tl::unexpected<Error>(stream.error());
    return pump(std::move(*stream), PumpEnds{});
  }
  const bool is_path = options.where.find('/') != std::string::npos;
  const auto port = options.where.empty() || options.where == "0" ? std::optional<std::uint16_t>(0)
                                                                  : port_of(options.where);
  if (!is_path && !port) {
    return fail(ErrorKind::usage,
                "expected a local port or the path of a unix socket, found '" + options.where + "'");
  }
  auto client = connect(lab);
  if (!client) return tl::unexpected<Error>(client.error());
  ROOKERY_TRY(check_machine(*client, target->machine));
  auto listener = is_path ? listen_unix(options.where) : listen_tcp(*port);
  if (!listener) return tl::unexpected<Error>(listener.error());
  const std::string place = place_of(listener->get(), options.where);
  if (lab.json) {
    print_json(Json::object()
                   .set("at", place)
                   .set("machine", target->machine)
                   .set("port", Json::count(target->port)));
  } else {
    fmt::print("{} is {}:{}\n", place, target->machine, target->port);
    std::fflush(stdout);
  }
  ::signal(SIGCHLD, SIG_IGN);  // nobody waits for them
  const pid_t parent = ::getpid();
  pollfd waiting{listener->get(), POLLIN, 0};
  while (::poll(&waiting, 1, -1) >= 0 || errno == EINTR) {
    UniqueFd peer = accept_unix(listener->get());
    if (!peer) {
      constexpr int kRest = 100;  // milliseconds, until one of our connections has ended
      if (has_no_room_for_peer(errno)) (void)::poll(nullptr, 0, kRest);
      continue;
    }
    const pid_t child = ::fork();
    if (child == 0) {
      listener->reset();
      serve(lab, *target, std::move(peer), parent);
    }
    if (child < 0) complain("rookery: no process for a connection: " + fail_errno("fork").value().message);
  }
  return fail_errno("poll");
}

}  // namespace rookery::vboot
