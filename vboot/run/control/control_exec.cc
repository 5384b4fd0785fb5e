// Which machines a command means, programs in them, and streams to them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "vboot/control/messages.h"
#include "vboot/lab/name_patterns.h"
#include "vboot/lab/nearest_word.h"
#include "vboot/run/control/control_connection.h"
#include "vboot/run/control/control_server.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kNamed = 5;       // machines in one message
constexpr std::size_t kStreams = 1024;  // connections that have become streams
constexpr int kLooksForSigns = 10;      // within the silence that a machine may keep

// " (frozen)": what stands around it; empty if nothing does.
std::string in_its_way(const Node& node, const std::vector<std::vector<std::string>>& ways,
                       std::string_view before, std::string_view behind) {
  const std::size_t index = node.plan().index;
  if (index >= ways.size() || ways[index].empty()) return {};
  return fmt::format("{}{}{}", before, fmt::join(ways[index], ", "), behind);
}

std::string not_answered(const Node& node, const std::vector<std::vector<std::string>>& ways,
                         Duration silence) {
  return fmt::format("{} has not answered for {:.0f} s{}", node.plan().name, seconds(silence),
                     in_its_way(node, ways, " (", ")"));
}

}  // namespace

// Each once, however often it was named; names, patterns and host lists.
Result<std::vector<Node*>> ControlServer::choose(const MachineChoice& choice) {
  std::vector<Node*> chosen;
  std::set<const Node*> taken;
  const auto take = [&](const std::string& name) {
    const bool is_pattern = name.find_first_of("*?") != std::string::npos;
    bool any = false;
    for (const auto& node : lab_->nodes()) {
      if (is_pattern ? !fits(name, node->plan().name) : name != node->plan().name) continue;
      any = true;
      if (taken.insert(node.get()).second) chosen.push_back(node.get());
    }
    return any;
  };
  if (choice.all) (void)take("*");
  for (const std::string& argument : choice.names) {
    const auto names = names_of(argument);
    if (!names) return tl::unexpected<Error>(names.error());
    for (const std::string& name : *names) {
      if (!take(name)) return fail(ErrorKind::usage, no_machine(name));
    }
  }
  return chosen;
}

std::string ControlServer::no_machine(const std::string& name) const {
  std::vector<std::string_view> all;
  for (const auto& node : lab_->nodes()) all.emplace_back(node->plan().name);
  const std::string_view near = nearest_word(name, all);
  return fmt::format("no machine '{}' in the lab {}{}", name, lab_->plan().name,
                     near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
}

void ControlServer::exec(Connection& connection, std::int64_t id, const ExecRequest& request) {
  auto nodes = choose(request.machines);
  if (!nodes) return say(connection, error_message(id, nodes.error()));
  Connection::Exec& exec = connection.execs[id];
  exec.left = exec.machines = nodes->size();
  if (request.timeout) {
    exec.timer = loop_.after(*request.timeout, [this, &connection, id] { exec_late(connection, id); });
  } else {
    exec.timer = loop_.after(hooks_.silence_most / kLooksForSigns,
                             [this, &connection, id] { look_for_signs(connection, id); });
  }
  for (Node* node : *nodes) exec_on(connection, id, *node, request);
}

// The time that was given is over.
void ControlServer::exec_late(Connection& connection, std::int64_t id) {
  const auto found = connection.execs.find(id);
  if (found == connection.execs.end()) return;
  const auto ways = lab_->faults().in_the_way();
  std::string who;
  std::size_t named = 0;
  for (const auto& [machine, number] : found->second.requests) {
    Node* node = lab_->find(machine);
    if (node == nullptr) continue;
    node->cancel_exec(number);
    if (++named <= kNamed) who += (named > 1 ? ", " : "") + machine + in_its_way(*node, ways, " (", ")");
  }
  if (named > kNamed) who += fmt::format(" and {} more", named - kNamed);
  connection.execs.erase(found);
  say(connection,
      error_message(id, {ErrorKind::timeout, fmt::format("the command did not end in time on {}", who)}));
}

// Without a time limit a program may run as long as it likes, but its machine has to live: one that is
// frozen, or hangs, is asked for a sign, and is not waited for if it gives none.
void ControlServer::look_for_signs(Connection& connection, std::int64_t id) {
  auto found = connection.execs.find(id);
  if (found == connection.execs.end()) return;
  found->second.timer = loop_.after(hooks_.silence_most / kLooksForSigns,
                                    [this, &connection, id] { look_for_signs(connection, id); });
  const auto ways = lab_->faults().in_the_way();
  const auto requests = found->second.requests;  // what ends here changes it
  for (const auto& [machine, number] : requests) {
    Node* node = lab_->find(machine);
    if (node == nullptr || node->silence() < hooks_.silence_most) continue;
    found = connection.execs.find(id);
    if (found == connection.execs.end()) return;
    node->cancel_exec(number);
    found->second.requests.erase(machine);
    ++found->second.failed;
    const std::string why = not_answered(*node, ways, hooks_.silence_most);
    say(connection, event_message(id, "unreachable",
                                  Json::object()
                                      .set("machine", machine)
                                      .set("kind", to_text(ErrorKind::timeout))
                                      .set("reason", why)));
    exec_done(connection, id);
  }
}

void ControlServer::exec_on(Connection& connection, std::int64_t id, Node& node, const ExecRequest& request) {
  const std::string machine = node.plan().name;
  // The connection outlives its requests: drop() cancels them.
  ExecEvents events;
  events.output = [this, &connection, id, machine](agent::Stream stream, ByteView bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += kOutputMost) {
      const ByteView part = bytes.subspan(at, std::min(kOutputMost, bytes.size() - at));
      say(connection, to_json(id, OutputEvent{machine, stream == agent::Stream::out ? "stdout" : "stderr",
                                              std::string(as_text(part))}));
    }
  };
  events.exited = [this, &connection, id, machine](Result<int> code) {
    const auto found = connection.execs.find(id);
    if (found == connection.execs.end()) return;
    found->second.requests.erase(machine);
    if (!code || *code != 0) ++found->second.failed;
    if (code) {
      say(connection, to_json(id, ExitedEvent{machine, *code}));
    } else {
      say(connection,
          event_message(id, "unreachable",
                        Json::object().set("machine", machine).set("reason", code.error().message)));
    }
    exec_done(connection, id);
  };
  const auto events_exited = events.exited;
  const auto started = node.exec(request.argv, std::move(events));
  if (started) {
    connection.execs[id].requests[machine] = *started;
  } else {
    events_exited(tl::unexpected<Error>(started.error()));
  }
}

void ControlServer::exec_done(Connection& connection, std::int64_t id) {
  const auto found = connection.execs.find(id);
  if (found == connection.execs.end() || --found->second.left > 0) return;
  loop_.cancel(found->second.timer);
  say(connection, result_message(id, Json::object()
                                         .set("machines", Json::count(found->second.machines))
                                         .set("failed", Json::count(found->second.failed))));
  connection.execs.erase(found);
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
  StreamRelay& begun = *relay;
  if (!stream_signs_ && !request.argv.empty()) {
    stream_signs_ =
        loop_.after(hooks_.silence_most / kLooksForSigns, [this] { look_for_signs_of_streams(); });
  }
  relays_[number] = {std::move(relay), node, !request.argv.empty()};
  begun.open(request.port, request.argv);
}

// As of exec: a program's machine has to live. A connection to a port may be silent for as long as both ends
// like.
void ControlServer::look_for_signs_of_streams() {
  const auto ways = lab_->faults().in_the_way();
  bool any = false;
  for (const auto& [number, stream] : relays_) {
    if (!stream.of_a_program) continue;
    any = true;
    if (stream.node->silence() < hooks_.silence_most) continue;
    stream.relay->give_up(not_answered(*stream.node, ways, hooks_.silence_most));
  }
  stream_signs_ =
      any ? loop_.after(hooks_.silence_most / kLooksForSigns, [this] { look_for_signs_of_streams(); })
          : EventId{};
}

}  // namespace rookery::vboot
