// What a machine can do for those who have a program run in it, or a stream to it. Implemented by Node.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "guest/protocol/agent_protocol.h"

namespace rookery::vboot {

// What a program run by the agent, or a stream, has to say.
struct ExecEvents {
  std::function<void(agent::Stream, ByteView)> output;
  // The end: an exit code (128 + N for signal N), or why there will be none.
  std::function<void(Result<int>)> exited;
  // Of a stream: so many bytes of its input have been taken.
  std::function<void(std::uint32_t)> taken;
};

class StreamHost {
 public:
  virtual ~StreamHost() = default;
  // A stream (agent::Open); it ends with `exited`, or by cancel_exec(). The caller keeps to the window, and
  // says what it has taken. Output without bytes: no more will come. Input likewise.
  virtual Result<std::uint32_t> open(std::uint16_t port, const std::vector<std::string>& argv,
                                     ExecEvents events) = 0;
  virtual Status stream_input(std::uint32_t request, ByteView bytes) = 0;
  virtual Status stream_taken(std::uint32_t request, std::uint32_t bytes) = 0;
  virtual void cancel_exec(std::uint32_t request) = 0;
};

}  // namespace rookery::vboot
