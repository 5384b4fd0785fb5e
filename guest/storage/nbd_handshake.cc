#include "guest/storage/nbd_handshake.h"

namespace rookery {
namespace {

// proto.md, "Values" and "Option types"
constexpr std::uint64_t kMagic = 0x4e42444d41474943;        // "NBDMAGIC"
constexpr std::uint64_t kOptionMagic = 0x49484156454f5054;  // "IHAVEOPT"
constexpr std::uint64_t kReplyMagic = 0x0003e889045565a9;
constexpr std::uint16_t kFixedNewstyle = 1;  // of both sides' handshake flags
constexpr std::uint16_t kNoZeroes = 2;
constexpr std::uint32_t kOptionGo = 7;
constexpr std::uint32_t kReplyAck = 1;
constexpr std::uint32_t kReplyInfo = 3;
constexpr std::uint32_t kReplyError = 0x80000000;
constexpr std::uint16_t kInfoExport = 0;
constexpr std::size_t kReplyHeader = 20;

std::string error_name(std::uint32_t type) {
  switch (type - kReplyError) {
    case 1:
      return "it does not support NBD_OPT_GO";
    case 2:
      return "its policy forbids it";
    case 3:
      return "it found the request invalid";
    case 5:
      return "it wants TLS";
    case 6:
      return "it has no such export";
    case 7:
      return "it is shutting down";
    case 8:
      return "it wants block sizes to be negotiated";
    default:
      return "error " + std::to_string(type - kReplyError);
  }
}

// A server's message, for a person: printable ASCII, not too long.
std::string printable(ByteView text) {
  std::string out;
  for (std::uint8_t byte : text.first(std::min<std::size_t>(text.size(), 200))) {
    out += byte >= 32 && byte < 127 ? static_cast<char>(byte) : '?';
  }
  return out;
}

}  // namespace

Result<ByteBuffer> NbdHandshake::take(ByteView bytes) {
  if (bytes.size() != wanted_ || result_) bug("an NBD handshake was given what it did not want");
  switch (step_) {
    case Step::greeting:
      return take_greeting(bytes);
    case Step::reply_header:
      ROOKERY_TRY(take_header(bytes));
      break;
    case Step::reply_data:
      ROOKERY_TRY(take_reply(bytes));
      break;
  }
  return ByteBuffer{};
}

Result<ByteBuffer> NbdHandshake::take_greeting(ByteView bytes) {
  ByteReader in(bytes);
  if (in.be64() != kMagic) return fail("what answers there is not an NBD server");
  if (in.be64() != kOptionMagic) return fail("the NBD server speaks the oldstyle protocol");
  const std::uint16_t flags = in.be16();
  if ((flags & kFixedNewstyle) == 0) return fail("the NBD server does not speak the fixed newstyle protocol");
  if (name_.size() > kNameMax) return fail("the name of the NBD export is too long");
  ByteWriter out;
  out.be32(flags & (kFixedNewstyle | kNoZeroes));
  out.be64(kOptionMagic).be32(kOptionGo).be32(static_cast<std::uint32_t>(4 + name_.size() + 2));
  out.be32(static_cast<std::uint32_t>(name_.size())).text(name_).be16(0);
  step_ = Step::reply_header;
  wanted_ = kReplyHeader;
  return out.take();
}

Status NbdHandshake::take_header(ByteView bytes) {
  ByteReader in(bytes);
  const std::uint64_t magic = in.be64();
  const std::uint32_t option = in.be32();
  reply_type_ = in.be32();
  const std::uint32_t length = in.be32();
  if (magic != kReplyMagic || option != kOptionGo)
    return fail("the NBD server's reply is not one to our question");
  if (length > kReplyMax) return fail("the NBD server's reply is too long");
  if (++replies_ > kRepliesMax) return fail("the NBD server replies without end");
  if (length == 0) return take_reply({});
  step_ = Step::reply_data;
  wanted_ = length;
  return {};
}

Status NbdHandshake::take_reply(ByteView data) {
  step_ = Step::reply_header;
  wanted_ = kReplyHeader;
  if (reply_type_ >= kReplyError) {
    std::string why = "the NBD server refuses the export '" + name_ + "': " + error_name(reply_type_);
    if (!data.empty()) why += " (" + printable(data) + ")";
    return fail(std::move(why));
  }
  if (reply_type_ == kReplyInfo) {
    ByteReader in(data);
    if (in.be16() == kInfoExport && in.ok()) {
      NbdExport found;
      found.size = in.be64();
      found.flags = in.be16();
      if (!in.ok()) return fail("the NBD server's description of the export is cut short");
      export_ = found;
    }
    return {};
  }
  if (reply_type_ != kReplyAck) return fail("the NBD server's reply has an unknown type");
  if (!export_) return fail("the NBD server did not describe the export");
  if (export_->size == 0) return fail("the NBD export '" + name_ + "' is empty");
  result_ = export_;
  return {};
}

}  // namespace rookery
