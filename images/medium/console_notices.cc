#include "images/medium/console_notices.h"

#include <algorithm>
#include <array>

namespace rookery::images {
namespace {

constexpr std::string_view kTimeStamp = "rookery: time stamp counter answered from virtual time: ";
constexpr std::string_view kHardwareValue = "rookery: the processor's own random or processor number: ";
constexpr std::string_view kIn = ", in ";
constexpr std::size_t kTextMax = 256;

// Libraries that hold RDRAND or RDSEED and do not use them by default: OpenSSL 3 seeds itself from
// getrandom(2) (stage two masks the instructions in OPENSSL_ia32cap as well), std::random_device of GCC 12
// from arc4random(3), libgcrypt from getrandom(2), with the image's /etc/gcrypt/hwf.deny for its mixing in of
// RDRAND.
constexpr std::array<std::string_view, 4> kAskFirst{"libcrypto.so", "legacy.so", "libgcrypt.so",
                                                    "libstdc++.so"};

std::string printable(std::string_view text) {
  std::string out(text.substr(0, kTextMax));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

}  // namespace

std::optional<ConsoleNotice> parse_console_notice(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  // A kernel that stamps its lines begins them with "[    1.234567] ".
  if (line.starts_with('[')) {
    const std::size_t end = line.find("] ");
    if (end == std::string_view::npos) return std::nullopt;
    line.remove_prefix(end + 2);
  }
  ConsoleNotice notice;
  if (line.starts_with(kTimeStamp)) {
    line.remove_prefix(kTimeStamp.size());
  } else if (line.starts_with(kHardwareValue)) {
    notice.kind = ConsoleNotice::Kind::hardware_value;
    line.remove_prefix(kHardwareValue.size());
  } else {
    return std::nullopt;
  }
  const std::size_t in = line.rfind(kIn);  // a program may call itself anything
  if (in == std::string_view::npos) return std::nullopt;
  notice.program = printable(line.substr(0, in));
  notice.file = printable(line.substr(in + kIn.size()));
  return notice;
}

bool endangers_repetition(const ConsoleNotice& notice) {
  if (notice.kind != ConsoleNotice::Kind::hardware_value) return false;
  const std::string_view name = std::string_view(notice.file).substr(notice.file.rfind('/') + 1);
  return std::none_of(kAskFirst.begin(), kAskFirst.end(),
                      [name](std::string_view known) { return name.starts_with(known); });
}

}  // namespace rookery::images
