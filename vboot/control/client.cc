#include "vboot/control/client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/file.h"
#include "base/unix_socket.h"
#include "vboot/control/lab_homes.h"
#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kLabsMost = 1024;  // folders looked at

Status set_silence(int fd, std::optional<Duration> silence) {
  timeval limit{};  // zero: none
  if (silence) {
    // Never rounded down to zero, which would mean "for ever".
    const auto us = std::chrono::ceil<std::chrono::microseconds>(*silence).count();
    limit.tv_sec = us / 1'000'000;
    limit.tv_usec = us % 1'000'000;
    if (us <= 0) limit.tv_usec = 1;
  }
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) return fail_errno("SO_RCVTIMEO");
  return {};
}

tl::unexpected<Error> none_runs(std::optional<std::string_view> lab, const std::vector<std::string>& running,
                                const std::vector<std::filesystem::path>& elsewhere) {
  for (const auto& home : elsewhere) {
    if (lab && home.filename() != *lab) continue;
    return fail(ErrorKind::usage,
                fmt::format("{}lab '{}' runs in another runtime folder; speak to it with: {}",
                            lab ? "" : "no lab is running here; ", home.filename().string(),
                            reached_by(home, "COMMAND")));
  }
  if (running.empty()) {
    return fail(ErrorKind::usage, lab ? fmt::format("lab '{}' is not running, and no other is", *lab)
                                      : "no lab is running; 'rookery up <lab file>' starts one");
  }
  const std::vector<std::string_view> names(running.begin(), running.end());
  return fail(ErrorKind::usage,
              fmt::format("lab '{}' is not running{}", *lab, suggestion(*lab, names, "running labs")));
}

// JSON is text: an argument that is none would arrive as another.
Status check_text(const RequestBody& body) {
  const auto* exec = std::get_if<ExecRequest>(&body);
  if (exec == nullptr) return {};
  for (const std::string& argument : exec->argv) {
    if (!is_utf8(argument))
      return fail(ErrorKind::usage, fmt::format("argument '{}' is not UTF-8", argument));
  }
  return {};
}

}  // namespace

std::filesystem::path control_socket_path(const std::filesystem::path& runtime, std::string_view lab) {
  return runtime / lab / "control.sock";
}

Result<std::vector<std::string>> running_labs(const std::filesystem::path& runtime) {
  std::error_code problem;
  std::vector<std::string> labs;
  std::size_t seen = 0;
  for (std::filesystem::directory_iterator it(runtime, problem), end; !problem && it != end;
       it.increment(problem)) {
    if (++seen > kLabsMost)
      return fail(fmt::format("more than {} entries in {}", kLabsMost, runtime.string()));
    std::string name = it->path().filename().string();
    if (connect_unix(control_socket_path(runtime, name))) labs.push_back(std::move(name));
  }
  if (problem && problem != std::errc::no_such_file_or_directory) {
    return fail(fmt::format("cannot read {}: {}", runtime.string(), problem.message()));
  }
  std::sort(labs.begin(), labs.end());
  return labs;
}

Result<ControlClient> ControlClient::connect(std::optional<std::string_view> lab) {
  auto runtime = runtime_folder();
  if (!runtime) return tl::unexpected(runtime.error());
  return connect(*runtime, lab, kMemoryFiles);
}

Result<ControlClient> ControlClient::connect(const std::filesystem::path& runtime,
                                             std::optional<std::string_view> lab,
                                             const std::filesystem::path& files) {
  if (lab && (lab->empty() || lab->front() == '.' || lab->find('/') != std::string_view::npos)) {
    return fail(ErrorKind::usage, fmt::format("'{}' is not a valid name of a lab", *lab));
  }
  if (lab) {
    auto connection = connect_unix(control_socket_path(runtime, *lab));
    if (connection) return ControlClient(std::move(*connection), std::string(*lab));
    if (connection.error().kind != ErrorKind::expectation) return tl::unexpected(connection.error());
  }
  auto running = running_labs(runtime);
  if (!running) return tl::unexpected(running.error());
  if (lab || running->empty()) return none_runs(lab, *running, homes_elsewhere(runtime, files));
  if (running->size() > 1) {
    return fail(ErrorKind::usage, fmt::format("{} labs are running: {}; name one with --lab", running->size(),
                                              fmt::join(*running, ", ")));
  }
  auto connection = connect_unix(control_socket_path(runtime, running->front()));
  if (!connection) return tl::unexpected(connection.error());
  return ControlClient(std::move(*connection), running->front());
}

Result<Json> ControlClient::call(RequestBody request, Duration silence) {
  return stream(
      std::move(request), [](const ControlEvent&) { return Status{}; }, silence);
}

Result<Json> ControlClient::stream(RequestBody body, const OnEvent& on_event, std::optional<Duration> silence,
                                   std::span<const int> files) {
  ROOKERY_TRY(check_text(body));
  ROOKERY_TRY(set_silence(connection_.get(), silence));
  const std::int64_t id = ++last_id_;
  const Status sent = send({id, std::move(body)}, files);
  for (;;) {
    auto message = receive();
    // One that takes no request has said why before it hung up.
    if (!message) return sent ? std::move(message) : tl::unexpected(sent.error());
    auto reply = parse_reply(*message);
    if (!reply) return tl::unexpected(reply.error());
    // Id 0: the supervisor could not read a request; there is only ours.
    const bool of_an_earlier_request = reply->id != id && reply->id != 0;
    if (of_an_earlier_request) continue;
    if (auto* result = std::get_if<Json>(&reply->body)) return std::move(*result);
    if (auto* error = std::get_if<Error>(&reply->body)) return tl::unexpected(std::move(*error));
    ROOKERY_TRY(on_event(std::get<ControlEvent>(reply->body)));
  }
}

Status ControlClient::send(const ControlRequest& request, std::span<const int> files) {
  auto line = encode_message(to_json(request));
  if (!line) return tl::unexpected(line.error());
  std::string_view rest = *line;
  if (!files.empty()) {  // with one byte, which is sent whole or not at all
    while (!send_with_files(connection_.get(), as_bytes(rest.substr(0, 1)), files)) {
      if (errno != EINTR) return fail_errno("cannot write to the supervisor");
    }
    rest.remove_prefix(1);
  }
  while (!rest.empty()) {
    const ssize_t sent = ::send(connection_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return fail_errno("cannot write to the supervisor");
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<Json> ControlClient::receive() {
  std::array<std::uint8_t, 65536> chunk;
  for (;;) {
    if (auto message = reader_.next()) return std::move(*message);
    const ssize_t got = ::recv(connection_.get(), chunk.data(), chunk.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return fail(ErrorKind::timeout, "the supervisor does not answer");
    if (got < 0) return fail_errno("cannot read from the supervisor");
    if (got == 0) return fail("the supervisor closed the connection before it had answered");
    reader_.feed(ByteView(chunk).first(static_cast<std::size_t>(got)));
  }
}

}  // namespace rookery::vboot
