#include "base/digest.h"

#include <sodium.h>

#include <fstream>

namespace rookery {

struct Hasher::State {
  Kind kind;
  crypto_hash_sha256_state sha256;
  crypto_generichash_state blake2b;
};

Hasher::Hasher(Kind kind) : state_(std::make_unique<State>()) {
  static const int initialised = sodium_init();
  if (initialised < 0) bug("libsodium does not initialise");
  state_->kind = kind;
  if (kind == Kind::sha256) {
    crypto_hash_sha256_init(&state_->sha256);
  } else {
    crypto_generichash_init(&state_->blake2b, nullptr, 0, sizeof(Digest256));
  }
}

Hasher::~Hasher() = default;

Hasher& Hasher::add(ByteView bytes) {
  if (state_->kind == Kind::sha256) {
    crypto_hash_sha256_update(&state_->sha256, bytes.data(), bytes.size());
  } else {
    crypto_generichash_update(&state_->blake2b, bytes.data(), bytes.size());
  }
  return *this;
}

Digest256 Hasher::finish() {
  Digest256 digest{};
  if (state_->kind == Kind::sha256) {
    crypto_hash_sha256_final(&state_->sha256, digest.data());
  } else {
    crypto_generichash_final(&state_->blake2b, digest.data(), digest.size());
  }
  return digest;
}

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Result<ByteBuffer> from_hex(std::string_view text) {
  ByteBuffer bytes(text.size() / 2);
  if (text.empty()) return bytes;
  std::size_t length = 0;
  const char* end = nullptr;
  if (text.size() % 2 != 0 ||
      sodium_hex2bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, &length, &end) != 0 ||
      end != text.data() + text.size()) {
    return fail(ErrorKind::usage, "'" + std::string(text.substr(0, 80)) + "' is not hexadecimal");
  }
  return bytes;
}

Digest256 sha256(ByteView bytes) {
  return Hasher(Hasher::Kind::sha256).add(bytes).finish();
}
Digest256 blake2b(ByteView bytes) {
  return Hasher(Hasher::Kind::blake2b).add(bytes).finish();
}

Result<Digest256> sha256_of_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail_errno("cannot read " + path.string());
  Hasher hasher(Hasher::Kind::sha256);
  std::vector<char> block(1 << 20);
  while (in.read(block.data(), static_cast<std::streamsize>(block.size())), in.gcount() > 0) {
    hasher.add(as_bytes({block.data(), static_cast<std::size_t>(in.gcount())}));
  }
  if (in.bad()) return fail("cannot read " + path.string() + " to its end");
  return hasher.finish();
}

}  // namespace rookery
