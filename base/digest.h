// Digests by libsodium. SHA-256 names everything that other tools check too (images, downloads); BLAKE2b-256
// is for digests that only Rookery reads (the trace of a run), being about three times as fast.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace rookery {

using Digest256 = std::array<std::uint8_t, 32>;

std::string to_hex(ByteView bytes);                  // lower case
Result<ByteBuffer> from_hex(std::string_view text);  // either case; an odd length or a stranger is an error

// A digest that grows with what it is given. One owner; finish() ends it.
class Hasher {
 public:
  enum class Kind { sha256, blake2b };
  explicit Hasher(Kind kind);
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  Hasher& add(ByteView bytes);
  Digest256 finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest256 sha256(ByteView bytes);
Digest256 blake2b(ByteView bytes);
Result<Digest256> sha256_of_file(const std::filesystem::path& path);  // streams; the file may be large

}  // namespace rookery
