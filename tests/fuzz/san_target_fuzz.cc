// Any bytes as a firmware table, as memory that may hold one, and as the name of a disk: a target has a name
// that may stand among a program's arguments, or it is refused by a named error.
#include <cstdlib>

#include "guest/storage/san_target.h"

using namespace rookery;

namespace {

void check(const san::Target& target) {
  const auto* iscsi = std::get_if<san::IscsiTarget>(&target);
  if (iscsi == nullptr) return;
  if (iscsi->host.empty() || iscsi->port == 0 || iscsi->name.size() > san::kIscsiNameMax) std::abort();
  if (iscsi->name.find_first_of(" '\"\n/") != std::string::npos || iscsi->name.front() == '-') std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  if (const auto table = san::parse_boot_table(bytes)) check(*table);
  if (const auto found = san::find_boot_table(bytes)) check(*found);
  const auto named = san::parse_target(as_text(bytes));
  if (!named && named.error().message.empty()) std::abort();
  if (named && *named) check(**named);
  return 0;
}
