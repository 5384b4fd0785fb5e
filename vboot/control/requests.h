// What a command asks of a running lab's supervisor. Each request is a struct; on the wire it is one object:
//   {"id": 1, "verb": "exec", "machines": ["n7"], "argv": ["uname", "-r"]}
// parse_request takes nothing on trust: unknown verbs and keys, wrong kinds and too much are errors of kind
// usage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json/json.h"
#include "base/result.h"
#include "base/units.h"

namespace rookery::vboot {

// Some machines by name, or all that can be meant. Exactly one of the two.
struct MachineChoice {
  bool all = false;
  std::vector<std::string> names;
  friend bool operator==(const MachineChoice&, const MachineChoice&) = default;
};

enum class PowerAction { on, cut, reset, press };

// State of the lab and its machines. → a result.
struct PsRequest {
  friend bool operator==(const PsRequest&, const PsRequest&) = default;
};
// Runs a program in each chosen machine. → events `output` and `exited` for each, then a result.
struct ExecRequest {
  MachineChoice machines;
  std::vector<std::string> argv;
  std::optional<Duration> timeout;
  friend bool operator==(const ExecRequest&, const ExecRequest&) = default;
};
// → a result.
struct PowerRequest {
  PowerAction action = PowerAction::on;
  MachineChoice machines;
  friend bool operator==(const PowerRequest&, const PowerRequest&) = default;
};
// Takes the lab down. → a result when everything of it is gone.
struct DownRequest {
  friend bool operator==(const DownRequest&, const DownRequest&) = default;
};
// The console of one machine: what is kept of it and, if it is to be followed, what comes. → events `output`.
struct ConsoleRequest {
  std::string machine;
  bool follow = false;
  friend bool operator==(const ConsoleRequest&, const ConsoleRequest&) = default;
};
// Input for a machine's console. → a result when the machine's console has taken it.
struct InputRequest {
  std::string machine;
  std::string data;  // bytes; base64 on the wire
  friend bool operator==(const InputRequest&, const InputRequest&) = default;
};
// Until every client is ready or has failed. → events `stage`, then a result.
struct WaitRequest {
  std::optional<Duration> timeout;
  friend bool operator==(const WaitRequest&, const WaitRequest&) = default;
};

// Faults: those in force, one more (its words are in vboot/faults/fault.h), or an end of some. → a result.
enum class FaultAction { show, set, clear };
struct FaultRequest {
  FaultAction action = FaultAction::show;
  std::vector<std::string> words;  // of the fault, or names and places to clear; none to show
  friend bool operator==(const FaultRequest&, const FaultRequest&) = default;
};

// Why a machine is not ready, or all of them in groups. → a result.
struct WhyRequest {
  std::optional<std::string> machine;
  friend bool operator==(const WhyRequest&, const WhyRequest&) = default;
};
// The frames of some machines' cables as pcapng, to a descriptor that comes with the message (SCM_RIGHTS),
// until the time is over or the asker says no more (shutdown(2)). → an event `capturing` when it has begun; a
// result when all is written.
struct CaptureRequest {
  MachineChoice machines;
  std::string file;  // what the asker calls it
  std::optional<Duration> time;
  bool replace = false;  // what is in a regular file
  friend bool operator==(const CaptureRequest&, const CaptureRequest&) = default;
};

// What happened up to now, written to a file (docs/report.md). → a result.
struct ReportRequest {
  std::string file;  // an absolute path, as the supervisor sees it
  friend bool operator==(const ReportRequest&, const ReportRequest&) = default;
};

// A stream to a machine: to a TCP port of its own, or a program that reads what it is sent. → a result, after
// which the connection is the stream's alone (stream_frames.h).
struct StreamRequest {
  std::string machine;
  std::uint16_t port = 0;         // or:
  std::vector<std::string> argv;  // exactly one of the two
  friend bool operator==(const StreamRequest&, const StreamRequest&) = default;
};

// Writes a machine's whole state, or has it go back to what was written (backends::Snapshots). → a result
// when that is done.
enum class SnapshotAction { take, restore };
struct SnapshotRequest {
  SnapshotAction action = SnapshotAction::take;
  std::string machine;
  std::string name;  // of the snapshot: as a machine's
  friend bool operator==(const SnapshotRequest&, const SnapshotRequest&) = default;
};

using RequestBody = std::variant<StreamRequest, PsRequest, ExecRequest, PowerRequest, DownRequest,
                                 ConsoleRequest, InputRequest, WaitRequest, FaultRequest, WhyRequest,
                                 CaptureRequest, ReportRequest, SnapshotRequest>;

struct ControlRequest {
  std::int64_t id = 0;  // chosen by the client, 1 or more; every reply carries it
  RequestBody body;
  friend bool operator==(const ControlRequest&, const ControlRequest&) = default;
};

struct RequestLimits {
  static constexpr std::size_t kArguments = 1024;
  static constexpr std::size_t kArgumentBytes = 128u << 10;  // of all together
  static constexpr std::size_t kMachines = 4096;
  static constexpr std::size_t kFaultWords = 64;
  static constexpr std::size_t kPathBytes = 4096;  // linux/limits.h: PATH_MAX
  static constexpr std::size_t kInputBytes = 64u << 10;
  static constexpr std::int64_t kTimeoutMs = 86'400'000;  // a day
};

Result<ControlRequest> parse_request(JsonView message);
Json to_json(const ControlRequest& request);

std::string_view to_text(PowerAction action);
std::optional<PowerAction> power_action_of(std::string_view word);

}  // namespace rookery::vboot
