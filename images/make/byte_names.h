// While one lives, libarchive takes the names in archives for bytes. What Debian's packages call their files
// is in no particular character set, and libarchive would translate it into that of the locale, or normalise
// it.
#pragma once

#include <clocale>
#include <locale>  // IWYU pragma: keep  // locale_t
#include <string>

namespace rookery::images {

class ByteNames {
 public:
  ByteNames() : bytes_(::newlocale(LC_CTYPE_MASK, "C", nullptr)), before_(::uselocale(bytes_)) {}
  ~ByteNames() {
    ::uselocale(before_);
    ::freelocale(bytes_);
  }
  ByteNames(const ByteNames&) = delete;
  ByteNames& operator=(const ByteNames&) = delete;

 private:
  locale_t bytes_, before_;  // of this thread
};

}  // namespace rookery::images
