// What a step of a build is known by.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"

namespace rookery::images {

// A digest over words, each with its length, so that no two lists give the same.
class Inputs {
 public:
  Inputs& add(std::string_view word) {
    hasher_.add(as_bytes(std::to_string(word.size()) + ":")).add(as_bytes(word));
    return *this;
  }
  Inputs& add(const Digest256& digest) { return add(to_hex(digest)); }
  Digest256 finish() { return hasher_.finish(); }

 private:
  Hasher hasher_{Hasher::Kind::sha256};
};

}  // namespace rookery::images
