// The supervisor's end of the control channel: takes requests of commands on a unix socket and answers them
// from the running lab, all on the event loop. Owned by the supervisor; the lab outlives its connections.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "base/listener.h"
#include "base/loop/event_loop.h"
#include "vboot/control/message_reader.h"
#include "vboot/control/messages.h"
#include "vboot/control/requests.h"
#include "vboot/run/machine/stream_relay.h"
#include "vboot/run/session/lab_captures.h"
#include "vboot/run/session/running_lab.h"

namespace rookery::vboot {

class ControlServer {
 public:
  // What the server is asked that is not the lab's own affair, and what only its owner knows.
  struct Hooks {
    std::function<Json()> ps;
    std::function<Json()> report;  // the answer to `wait`
    // Calls `done` when it is written, or cannot be; not if the server is gone by then.
    std::function<void(const std::string& file, std::function<void(const Status&)> done)> write_report;
    std::function<void()> down;  // begins to end the lab; closed() answers those who asked
    // How long a machine that runs a command without a time limit may give no sign of life.
    Duration silence_most = std::chrono::seconds(20);
    Duration began{0};  // when the loop's time was zero, since 1970-01-01 UTC; for captures
  };
  static Result<std::unique_ptr<ControlServer>> listen(EventLoop& loop, const std::filesystem::path& socket,
                                                       RunningLab& lab, Hooks hooks);
  ~ControlServer();

  void stage_changed(const Node& node);
  void settled();  // with all that hooks.report says
  // Ends every conversation of the lab, which is about to go; no request is taken any more.
  void leave_lab();
  // All is gone: answers those who asked for it.
  void closed();

 private:
  struct Connection;
  ControlServer(EventLoop& loop, RunningLab& lab, Hooks hooks);

  void accept(UniqueFd peer);
  static void refuse(const UniqueFd& peer);
  void readable(Connection& connection);
  void no_more(Connection& connection);
  void answer_what_was_read(Connection& connection);
  void writable(Connection& connection);
  void say(Connection& connection, const Json& message);
  void end_conversations(Connection& connection);
  void drop(Connection& connection);
  void answer(Connection& connection, const ControlRequest& request);
  void power(Connection& connection, std::int64_t id, const PowerRequest& request);
  void exec(Connection& connection, std::int64_t id, const ExecRequest& request);
  void exec_on(Connection& connection, std::int64_t id, Node& node, const ExecRequest& request);
  void exec_late(Connection& connection, std::int64_t id);
  void look_for_signs(Connection& connection, std::int64_t id);
  void exec_done(Connection& connection, std::int64_t id);
  void console(Connection& connection, std::int64_t id, const ConsoleRequest& request);
  void stream(Connection& connection, std::int64_t id, const StreamRequest& request);
  void look_for_signs_of_streams();
  void why(Connection& connection, std::int64_t id, const WhyRequest& request);
  void capture(Connection& connection, std::int64_t id, const CaptureRequest& request);
  void snapshot(Connection& connection, std::int64_t id, const SnapshotRequest& request);
  Result<std::vector<Node*>> choose(const MachineChoice& choice);
  std::string no_machine(const std::string& name) const;
  void say_console(Connection& connection, std::int64_t id, const std::string& machine,
                   std::string_view bytes);

  EventLoop& loop_;
  RunningLab* lab_;
  Hooks hooks_;
  std::unique_ptr<Listener> listener_;
  std::filesystem::path path_;
  std::map<int, std::unique_ptr<Connection>> connections_;  // by a number of ours
  int last_connection_ = 0;
  bool settled_ = false;
  struct Stream {
    std::unique_ptr<StreamRelay> relay;
    Node* node;
    bool of_a_program;  // or of a connection to a port
  };
  std::map<int, Stream> relays_;  // likewise
  EventId stream_signs_;          // while there are any
  std::unique_ptr<LabCaptures> captures_;
};

}  // namespace rookery::vboot
