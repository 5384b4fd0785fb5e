// Any bytes as a trace: reading ends, with records that fit their bounds, or with an error that names the
// file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/unique_fd.h"
#include "vboot/trace/compare.h"
#include "vboot/trace/trace_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  const UniqueFd file(::memfd_create("trace", MFD_CLOEXEC));
  if (!file || ::write(file.get(), data, size) != static_cast<ssize_t>(size)) std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  const auto reader = vboot::TraceReader::open(path);
  if (!reader) return 0;
  for (int records = 0; records < 10'000; ++records) {
    const auto record = (*reader)->next();
    if (!record || !*record) return 0;
    if ((*record)->text.size() > vboot::kTraceTextMost) std::abort();
    (void)vboot::in_words(**record, (*reader)->header());
  }
  return 0;
}
