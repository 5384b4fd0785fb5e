// The client's side of the NBD handshake (newstyle, NBD_OPT_GO), before the kernel takes the socket over.
// Pure: bytes from the server in, bytes to it out; a server is a stranger and every length of its is bounded.
// Protocol: NetworkBlockDevice/nbd, doc/proto.md, "Fixed newstyle negotiation".
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace rookery {

struct NbdExport {
  std::uint64_t size = 0;   // bytes
  std::uint16_t flags = 0;  // transmission flags, as the kernel wants them (NBD_ATTR_SERVER_FLAGS)
};

class NbdHandshake {
 public:
  static constexpr std::size_t kNameMax = 4096;   // proto.md: strings are at most 4,096 bytes
  static constexpr std::size_t kReplyMax = 8192;  // of one option reply; ours are far shorter
  static constexpr std::size_t kRepliesMax = 64;

  explicit NbdHandshake(std::string export_name) : name_(std::move(export_name)) {}

  // How many bytes the server's next part has; never 0 before the end. The handshake must not read beyond it:
  // what follows belongs to the kernel.
  std::size_t wanted() const { return wanted_; }
  // Takes exactly wanted() bytes; gives what to send (maybe nothing).
  Result<ByteBuffer> take(ByteView bytes);
  // Set at the end.
  const std::optional<NbdExport>& result() const { return result_; }

 private:
  enum class Step { greeting, reply_header, reply_data };
  Result<ByteBuffer> take_greeting(ByteView bytes);
  Status take_header(ByteView bytes);
  Status take_reply(ByteView data);

  std::string name_;
  Step step_ = Step::greeting;
  std::size_t wanted_ = 18;  // magic, magic, flags
  std::uint32_t reply_type_ = 0;
  std::size_t replies_ = 0;
  std::optional<NbdExport> export_;
  std::optional<NbdExport> result_;
};

}  // namespace rookery
