// One command's connection to the supervisor, and what goes on in it. For control_server.cc and
// control_exec.cc alone.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/loop/event_loop.h"
#include "base/loop/turn_budget.h"
#include "base/unique_fd.h"
#include "vboot/control/message_reader.h"
#include "vboot/run/control/control_server.h"

namespace rookery::vboot {

struct ControlServer::Connection {
  int number = 0;
  UniqueFd fd;
  Watch watch;
  MessageReader reader;
  std::string output;
  std::size_t sent = 0;
  bool wants_out = false;

  // Conversations that go on, each under the id of its request.
  struct Exec {
    std::size_t left = 0;  // machines that have not ended
    std::size_t machines = 0;
    std::size_t failed = 0;                         // of them, with another exit code than 0
    std::map<std::string, std::uint32_t> requests;  // still running, by machine
    EventId timer;
  };
  std::map<std::int64_t, Exec> execs;
  struct Follow {
    std::string machine;
    int id = 0;
  };
  std::map<std::int64_t, Follow> consoles;
  std::map<std::int64_t, EventId> waits;  // their timers
  std::map<std::int64_t, int> captures;   // their numbers
  std::vector<UniqueFd> files;            // that came along and no request has taken yet
  std::set<std::int64_t> downs;
  bool hears = true;  // who asks may still say something
  bool ended = false;
  TurnBudget turn;
  EventId resume;  // with what was read and not answered yet

  bool in_use(std::int64_t id) const {
    return execs.contains(id) || consoles.contains(id) || waits.contains(id) || captures.contains(id) ||
           downs.contains(id);
  }
  std::size_t conversations() const {
    return execs.size() + consoles.size() + waits.size() + captures.size() + downs.size();
  }
};

}  // namespace rookery::vboot
