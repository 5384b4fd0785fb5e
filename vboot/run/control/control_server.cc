#include "vboot/run/control/control_server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <utility>

#include "base/loop/turn_budget.h"
#include "base/unix_socket.h"
#include "vboot/run/control/control_connection.h"
#include "vboot/run/session/lab_why.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kConnections = 64;
constexpr std::size_t kStreams = 1024;       // connections that have become streams
constexpr std::size_t kConversations = 256;  // of one connection
// What a command has not read yet. One that lets more pile up is let go, and says so when it reads on.
constexpr std::size_t kBacklog = 64u << 20;
constexpr const char* kGoingDown = "the lab is going down";

}  // namespace

ControlServer::ControlServer(EventLoop& loop, RunningLab& lab, Hooks hooks)
    : loop_(loop),
      lab_(&lab),
      hooks_(std::move(hooks)),
      captures_(std::make_unique<LabCaptures>(loop, lab, hooks_.began)) {}

Result<std::unique_ptr<ControlServer>> ControlServer::listen(EventLoop& loop,
                                                             const std::filesystem::path& socket,
                                                             RunningLab& lab, Hooks hooks) {
  auto listening = listen_unix(socket);
  if (!listening) return tl::unexpected<Error>(listening.error());
  std::unique_ptr<ControlServer> server(new ControlServer(loop, lab, std::move(hooks)));
  server->path_ = socket;
  server->listener_ = std::make_unique<Listener>(
      loop, std::move(*listening), [raw = server.get()](UniqueFd peer) { raw->accept(std::move(peer)); });
  return server;
}

ControlServer::~ControlServer() {
  leave_lab();
  ::unlink(path_.c_str());
}

void ControlServer::accept(UniqueFd peer) {
  if (connections_.size() >= kConnections) return refuse(peer);
  auto connection = std::make_unique<Connection>();
  Connection* raw = connection.get();
  raw->number = ++last_connection_;
  raw->fd = std::move(peer);
  raw->watch = loop_.watch(raw->fd.get(), EPOLLIN, [this, raw](std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) writable(*raw);
    if (!raw->ended && (events & ~std::uint32_t{EPOLLOUT}) != 0) readable(*raw);
    if (raw->ended) drop(*raw);
  });
  connections_[raw->number] = std::move(connection);
}

// Whoever asks is to know why nobody listens.
void ControlServer::refuse(const UniqueFd& peer) {
  const auto line = encode_message(
      error_message(0, {ErrorKind::infrastructure, "the lab serves " + std::to_string(kConnections) +
                                                       " commands already, and no more at once: end one of "
                                                       "them (logs -f, console, capture, exec), or try "
                                                       "again"}));
  // A new socket has room for so much.
  if (line) (void)!::send(peer.get(), line->data(), line->size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void ControlServer::readable(Connection& connection) {
  if (connection.resume) return;  // first what was asked before
  std::array<std::uint8_t, 1 << 16> block;
  const ssize_t got = receive_with_files(connection.fd.get(), block, connection.files);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got == 0 && !connection.captures.empty()) return no_more(connection);
  if (got <= 0 || connection.files.size() > kFilesPerMessage) {
    connection.ended = true;
    return;
  }
  connection.reader.feed({block.data(), static_cast<std::size_t>(got)});
  answer_what_was_read(connection);
}

// A turn's share of it. The machines, and who else asks, have theirs before it goes on.
void ControlServer::answer_what_was_read(Connection& connection) {
  connection.turn.renew(loop_.turns());
  while (connection.fd) {
    if (!connection.turn.left()) {
      connection.resume = loop_.soon([this, &connection] {
        connection.resume = {};
        answer_what_was_read(connection);
        if (connection.ended) drop(connection);
      });
      return;
    }
    auto message = connection.reader.next();
    if (!message) break;
    connection.turn.spend(1, 0, 0);
    if (!*message) {
      say(connection, error_message(0, message->error()));
    } else if (const auto request = parse_request(**message); !request) {
      const auto id = (*message)->find("id");
      say(connection, error_message(id ? id->as_integer().value_or(0) : 0, request.error()));
    } else if (lab_ == nullptr) {
      say(connection, error_message(request->id, {ErrorKind::expectation, kGoingDown}));
    } else {
      answer(connection, *request);
    }
  }
  if (!connection.fd || connection.reader.broken()) connection.ended = true;
}

// Who asked says no more; what became of the captures is still to be told, if anybody listens.
void ControlServer::no_more(Connection& connection) {
  connection.hears = false;
  connection.watch.stop();
  const auto captures = connection.captures;
  for (const auto& [id, number] : captures) captures_->end(number);
}

void ControlServer::say(Connection& connection, const Json& message) {
  if (connection.ended) return;
  const auto line = encode_message(message, kReplyMost);
  if (!line) return say(connection, error_message(0, line.error()));
  if (connection.output.size() - connection.sent + line->size() > kBacklog) {
    connection.ended = true;
    return;
  }
  connection.turn.spend(0, 0, line->size());
  connection.output += *line;
  if (!connection.wants_out) writable(connection);
}

void ControlServer::writable(Connection& connection) {
  while (connection.sent < connection.output.size()) {
    const ssize_t sent = ::send(connection.fd.get(), connection.output.data() + connection.sent,
                                connection.output.size() - connection.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent <= 0) {
      connection.ended = true;
      return;
    }
    connection.sent += static_cast<std::size_t>(sent);
  }
  const bool all = connection.sent == connection.output.size();
  if (all || connection.sent > (1u << 20)) {
    connection.output.erase(0, connection.sent);
    connection.sent = 0;
  }
  if (!connection.hears) {
    connection.ended = connection.ended || !all;  // nothing tells when it would take more
  } else if (connection.wants_out == all) {
    connection.wants_out = !all;
    connection.watch.want(all ? EPOLLIN : EPOLLIN | EPOLLOUT);
  }
}

// From here on nothing in the lab, and no timer, knows of it.
void ControlServer::end_conversations(Connection& connection) {
  loop_.cancel(std::exchange(connection.resume, {}));
  for (const auto& [id, exec] : std::exchange(connection.execs, {})) {
    loop_.cancel(exec.timer);
    for (const auto& [machine, request] : exec.requests) {
      if (Node* node = lab_->find(machine)) node->cancel_exec(request);
    }
  }
  for (const auto& [id, follow] : std::exchange(connection.consoles, {})) {
    if (Node* node = lab_->find(follow.machine)) node->console().unfollow(follow.id);
  }
  for (const auto& [id, timer] : std::exchange(connection.waits, {})) loop_.cancel(timer);
  for (const auto& [id, number] : std::exchange(connection.captures, {})) captures_->end(number);
}

void ControlServer::drop(Connection& connection) {
  end_conversations(connection);
  connections_.erase(connection.number);
}

void ControlServer::answer(Connection& connection, const ControlRequest& request) {
  const std::int64_t id = request.id;
  if (spdlog::should_log(spdlog::level::debug))
    spdlog::debug("connection {}: {}", connection.number, to_json(request).dump());
  if (connection.in_use(id))
    return say(connection, error_message(id, {ErrorKind::usage, "this id is in use"}));
  if (connection.conversations() >= kConversations)
    return say(connection,
               error_message(id, {ErrorKind::usage, "too many requests of this connection go on"}));
  if (std::holds_alternative<PsRequest>(request.body)) {
    say(connection, result_message(id, hooks_.ps()));
  } else if (const auto* wanted = std::get_if<ExecRequest>(&request.body)) {
    exec(connection, id, *wanted);
  } else if (const auto* power_wanted = std::get_if<PowerRequest>(&request.body)) {
    power(connection, id, *power_wanted);
  } else if (std::holds_alternative<DownRequest>(request.body)) {
    connection.downs.insert(id);
    hooks_.down();
  } else if (const auto* console_wanted = std::get_if<ConsoleRequest>(&request.body)) {
    console(connection, id, *console_wanted);
  } else if (const auto* input = std::get_if<InputRequest>(&request.body)) {
    Node* node = lab_->find(input->machine);
    if (node == nullptr) {
      return say(connection, error_message(id, {ErrorKind::usage, no_machine(input->machine)}));
    }
    node->console_input(input->data);
    say(connection, result_message(id, Json::object()));
  } else if (const auto* fault = std::get_if<FaultRequest>(&request.body)) {
    vboot::answer(lab_->faults(), *fault, [this, number = connection.number, id](Result<Json> told) {
      const auto asked = connections_.find(number);
      if (asked == connections_.end()) return;  // who asked did not wait
      say(*asked->second, told ? result_message(id, std::move(*told)) : error_message(id, told.error()));
    });
  } else if (const auto* about = std::get_if<WhyRequest>(&request.body)) {
    why(connection, id, *about);
  } else if (const auto* two_ways = std::get_if<StreamRequest>(&request.body)) {
    stream(connection, id, *two_ways);
  } else if (const auto* frames = std::get_if<CaptureRequest>(&request.body)) {
    capture(connection, id, *frames);
  } else if (const auto* state = std::get_if<SnapshotRequest>(&request.body)) {
    snapshot(connection, id, *state);
  } else if (const auto* page = std::get_if<ReportRequest>(&request.body)) {
    auto done = [this, number = connection.number, id, file = page->file](const Status& written) {
      const auto asked = connections_.find(number);
      if (asked == connections_.end()) return;  // who asked did not wait
      say(*asked->second, written ? result_message(id, Json::object().set("file", file))
                                  : error_message(id, written.error()));
    };
    hooks_.write_report(page->file, std::move(done));
  } else if (const auto* wait = std::get_if<WaitRequest>(&request.body)) {
    if (settled_) return say(connection, result_message(id, hooks_.report()));
    EventId timer;
    if (wait->timeout) {
      timer = loop_.after(*wait->timeout, [this, &connection, id] {
        connection.waits.erase(id);
        say(connection,
            error_message(id, {ErrorKind::timeout, "not all clients are ready or have failed yet"}));
      });
    }
    connection.waits[id] = timer;
  }
}

// The connection leaves us, and is the stream's.
void ControlServer::stream(Connection& connection, std::int64_t id, const StreamRequest& request) {
  const auto refuse = [&](const std::string& why) {
    say(connection, error_message(id, {ErrorKind::usage, why}));
  };
  Node* node = lab_->find(request.machine);
  if (node == nullptr) return refuse(no_machine(request.machine));
  if (relays_.size() >= kStreams) return refuse("too many streams are open");
  if (!connection.output.empty() || connection.reader.inside_line())
    return refuse("a stream wants a connection of its own");
  const auto answer = encode_message(result_message(id, Json::object()));
  if (!answer) return refuse(answer.error().message);
  connection.watch.stop();
  const int number = ++last_connection_;
  auto relay = std::make_unique<StreamRelay>(
      loop_, std::move(connection.fd), node->streams(), *answer,
      [this, number] { loop_.soon([this, number] { relays_.erase(number); }); });
  StreamRelay& begun = *(relays_[number] = std::move(relay));
  begun.open(request.port, request.argv);
}

void ControlServer::why(Connection& connection, std::int64_t id, const WhyRequest& request) {
  if (!request.machine) return say(connection, result_message(id, why_summary(*lab_, loop_.now())));
  const Node* node = lab_->find(*request.machine);
  if (node == nullptr) {
    const Uplink* uplink = lab_->uplink();
    if (const WireMachine* seen = uplink != nullptr ? uplink->machines().find(*request.machine) : nullptr)
      return say(connection, result_message(id, why_report(*lab_, *seen, loop_.now())));
    return say(connection, error_message(id, {ErrorKind::usage, no_machine(*request.machine)}));
  }
  say(connection, result_message(id, why_report(*lab_, *node, loop_.now())));
}

void ControlServer::capture(Connection& connection, std::int64_t id, const CaptureRequest& request) {
  const auto refuse = [&](const Error& error) { say(connection, error_message(id, error)); };
  UniqueFd file;
  if (!connection.files.empty()) {
    file = std::move(connection.files.front());
    connection.files.erase(connection.files.begin());
  }
  const auto nodes = choose(request.machines);
  if (!nodes) return refuse(nodes.error());
  // Who asked may be gone by then.
  auto done = [this, number = connection.number, id](Result<Json> told) {
    const auto found = connections_.find(number);
    if (found == connections_.end()) return;
    Connection& asker = *found->second;
    asker.captures.erase(id);
    say(asker, told ? result_message(id, std::move(*told)) : error_message(id, told.error()));
    if (asker.hears || !asker.captures.empty()) return;
    asker.ended = true;
    loop_.soon([this, number] {
      if (const auto one = connections_.find(number); one != connections_.end()) drop(*one->second);
    });
  };
  const auto begun = captures_->begin(*nodes, request, std::move(file), std::move(done));
  if (!begun) return refuse(begun.error());
  connection.captures[id] = *begun;
  say(connection, event_message(id, "capturing", Json::object().set("file", request.file)));
}

void ControlServer::snapshot(Connection& connection, std::int64_t id, const SnapshotRequest& request) {
  Node* node = lab_->find(request.machine);
  if (node == nullptr)
    return say(connection, error_message(id, {ErrorKind::usage, no_machine(request.machine)}));
  // Who asked may be gone by then.
  auto done = [this, number = connection.number, id](const Status& status) {
    const auto found = connections_.find(number);
    if (found == connections_.end()) return;
    say(*found->second, status ? result_message(id, Json::object()) : error_message(id, status.error()));
  };
  const Status begun = request.action == SnapshotAction::take
                           ? node->take_snapshot(request.name, std::move(done))
                           : node->restore(request.name, std::move(done));
  if (!begun) say(connection, error_message(id, begun.error()));
}

void ControlServer::power(Connection& connection, std::int64_t id, const PowerRequest& request) {
  const auto nodes = choose(request.machines);
  if (!nodes) return say(connection, error_message(id, nodes.error()));
  Status first;  // of those that could not; the others have theirs all the same
  for (Node* node : *nodes) {
    Status done;
    switch (request.action) {
      case PowerAction::on:
        done = node->power_on();
        break;
      case PowerAction::cut:
        done = node->power(backends::PowerAction::cut);
        break;
      case PowerAction::reset:
        done = node->power(backends::PowerAction::reset);
        break;
      case PowerAction::press:
        done = node->power(backends::PowerAction::press);
        break;
    }
    if (!done && first) first = std::move(done);
  }
  if (!first) return say(connection, error_message(id, first.error()));
  say(connection, result_message(id, Json::object().set("machines", Json::count(nodes->size()))));
}

void ControlServer::say_console(Connection& connection, std::int64_t id, const std::string& machine,
                                std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += kOutputMost) {
    say(connection, to_json(id, OutputEvent{machine, "console", std::string(bytes.substr(at, kOutputMost))}));
  }
}

void ControlServer::console(Connection& connection, std::int64_t id, const ConsoleRequest& request) {
  Node* node = lab_->find(request.machine);
  if (node == nullptr) {
    return say(connection, error_message(id, {ErrorKind::usage, no_machine(request.machine)}));
  }
  say_console(connection, id, request.machine, node->console().text());
  if (!request.follow) {
    return say(connection, result_message(id, Json::object().set("dropped_bytes",
                                                                 Json::count(node->console().dropped()))));
  }
  const int follower =
      node->console().follow([this, &connection, id, name = request.machine](std::string_view bytes) {
        say_console(connection, id, name, bytes);
      });
  connection.consoles[id] = {request.machine, follower};
}

void ControlServer::stage_changed(const Node& node) {
  for (auto& [number, connection] : connections_) {
    for (const auto& [id, timer] : connection->waits) {
      say(*connection,
          event_message(
              id, "stage",
              Json::object().set("machine", node.plan().name).set("stage", to_string(node.boot().stage))));
    }
  }
}

void ControlServer::settled() {
  settled_ = true;
  for (auto& [number, connection] : connections_) {
    for (const auto& [id, timer] : std::exchange(connection->waits, {})) {
      loop_.cancel(timer);
      say(*connection, result_message(id, hooks_.report()));
    }
  }
}

void ControlServer::leave_lab() {
  if (lab_ == nullptr) return;
  relays_.clear();
  captures_->end_all();
  const Error going_down{ErrorKind::expectation, kGoingDown};
  for (auto& [number, connection] : connections_) {
    for (const auto& [id, exec] : connection->execs) say(*connection, error_message(id, going_down));
    for (const auto& [id, timer] : connection->waits) say(*connection, error_message(id, going_down));
    for (const auto& [id, follow] : connection->consoles)
      say(*connection, result_message(id, Json::object()));
    end_conversations(*connection);
  }
  lab_ = nullptr;
}

void ControlServer::closed() {
  listener_.reset();
  for (auto& [number, connection] : connections_) {
    for (const std::int64_t id : connection->downs) say(*connection, result_message(id, Json::object()));
  }
}

}  // namespace rookery::vboot
