// The commands' end of a stream to a machine: opens it, and carries bytes both ways until it is over. Blocks,
// as a command may.
#pragma once

#include <functional>

#include "base/unique_fd.h"
#include "vboot/cli/lab_client.h"
#include "vboot/control/stream_frames.h"

namespace rookery::vboot {

// A connection to the supervisor that has become a stream.
struct OpenStream {
  UniqueFd connection;
  std::string first;  // what came behind the answer
};
Result<OpenStream> open_stream(const LabChoice& lab, const StreamRequest& request);

struct PumpEnds {
  int in = 0, out = 1;  // may be one socket; `out` is shut down, or closed, where the stream's output ends
  // Asked when `in` has ended, before the machine is told: an Error ends the stream at once instead.
  std::function<Status()> on_input_end;
};
// Its exit code: of the machine's program, or 0 for a connection and 1 where there is none. What the machine
// has to say beside (its program's standard error) goes to ours.
Result<int> pump(OpenStream stream, const PumpEnds& ends);

}  // namespace rookery::vboot
