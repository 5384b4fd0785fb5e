// Any bytes as what an NBD server says in its handshake: it ends, and a result has a size.
#include <cstdlib>

#include "guest/storage/nbd_handshake.h"

using namespace rookery;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in(ByteView(data, size));
  NbdHandshake handshake("root");
  while (!handshake.result()) {
    if (handshake.wanted() == 0 || handshake.wanted() > NbdHandshake::kReplyMax) std::abort();
    const ByteView part = in.take(handshake.wanted());
    if (!in.ok() || !handshake.take(part)) return 0;
  }
  if (handshake.result()->size == 0) std::abort();
  return 0;
}
