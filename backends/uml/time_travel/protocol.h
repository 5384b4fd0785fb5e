// The messages between a User-Mode Linux guest and whoever grants it time (linux
// include/uapi/linux/um_timetravel.h). Pure: bytes to messages and back.
#pragma once

#include <optional>

#include "base/bytes.h"

namespace rookery::backends::time_travel {

enum class Operation : std::uint32_t {
  ack = 0,
  start = 1,
  request = 2,     // guest: run me at this time
  wait = 3,        // guest: I have yielded; the time is the guest's (by our patch to the kernel)
  get = 4,         // guest: what time is it
  update = 5,      // guest: it is this time here (before it notifies somebody)
  run = 6,         // controller: it is this time, run; `sequence` nanoseconds on its own (by our patch)
  free_until = 7,  // controller: nothing else happens before this time
  get_time_of_day = 8,
  broadcast = 9,
};

constexpr std::size_t kMessageSize = 16;

struct Message {
  Operation operation = Operation::ack;
  std::uint32_t sequence = 0;
  std::uint64_t time = 0;  // nanoseconds since the guest started
};

// The memory shared with a guest, one for each (struct um_timetravel_schedshm with one client): it says when
// it wants to run by writing here, and reads the time here. A guest may write anything at any time: each
// field is read once, and only while the guest rests does it mean something.
namespace shared {
constexpr std::uint32_t kVersion = 2;  // UM_TIMETRAVEL_SCHEDSHM_VERSION
constexpr std::size_t kVersionAt = 0, kLengthAt = 4, kFreeUntilAt = 8, kCurrentTimeAt = 16,
                      kMaxClientsAt = 26;
constexpr std::size_t kHeaderSize = 4096, kClientSize = 128;
constexpr std::size_t kSize = kHeaderSize + kClientSize;
constexpr std::size_t kCapabilitiesAt = kHeaderSize, kFlagsAt = kHeaderSize + 4,
                      kRequestTimeAt = kHeaderSize + 8;
constexpr std::uint32_t kTimeShare = 1;   // UM_TIMETRAVEL_SCHEDSHM_CAP_TIME_SHARE
constexpr std::uint32_t kWantsToRun = 1;  // UM_TIMETRAVEL_SCHEDSHM_FLAGS_REQ_RUN
}  // namespace shared

inline Message parse_message(
    ByteView bytes) {  // exactly kMessageSize bytes; in host order, as the kernel has it
  ByteReader reader(bytes);
  Message message;
  message.operation = static_cast<Operation>(reader.le32());
  message.sequence = reader.le32();
  message.time = reader.le64();
  return message;
}

inline ByteBuffer encode(const Message& message) {
  ByteWriter writer;
  writer.le32(static_cast<std::uint32_t>(message.operation)).le32(message.sequence).le64(message.time);
  return writer.take();
}

}  // namespace rookery::backends::time_travel
