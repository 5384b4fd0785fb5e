// Any two texts (the first byte says of what kind, a zero parts them) as a list and another one of its sort:
// what the second adds to the first, put into the first, leaves nothing of the second to add.
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "guest/storage/shared_lists.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  if (size == 0) return 0;
  const auto kind = static_cast<SharedList::Kind>(data[0] % 4);
  const std::string_view text = as_text({data + 1, size - 1});
  const std::size_t middle = text.find('\0');
  const std::string_view base = text.substr(0, middle);
  const std::string_view extended = middle == text.npos ? "" : text.substr(middle + 1);
  const std::string added = added_records(kind, base, extended);
  const auto whole = with_records(kind, base, added);
  if (!whole) {
    if (kind != SharedList::Kind::accounts || whole.error().message.empty()) std::abort();
    return 0;
  }
  if (lacks_records(kind, base, *whole) || lacks_records(kind, extended, *whole)) std::abort();
  return 0;
}
