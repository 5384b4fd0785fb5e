// A Linux kernel out of its bzImage. libxl can unpack it as well, but would for each domain anew: Debian's
// takes half a second of a processor. Bytes in, bytes out.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace rookery::backends {

// Of so many bytes is_bzimage() can tell.
inline constexpr std::size_t kBzimageHead = 0x250;
// Whether the file begins as one (Documentation/arch/x86/boot.rst: "HdrS" at 0x202).
bool is_bzimage(ByteView file);
// The ELF file that it is packed of, of at most 512 MiB; an Error says what of it is not as it must be.
Result<std::string> unpacked_kernel(ByteView bzimage);

}  // namespace rookery::backends
