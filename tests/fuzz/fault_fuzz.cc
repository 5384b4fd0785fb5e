// Any text as a fault: it is refused by name, or is a fault that says itself again, in words, in a line and
// as an object; and its match expression compiles or is refused, without a look at the host's names.
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "netsim/faults/frame_filter.h"
#include "vboot/faults/fault.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  const auto fault = vboot::parse_fault(as_text({data, size}));
  if (!fault) {
    if (fault.error().kind != ErrorKind::usage || !fault.error().message.starts_with("fault: ")) std::abort();
    return 0;
  }
  const auto words = vboot::to_words(*fault);
  const auto again = vboot::parse_fault(words);
  if (!again || vboot::to_words(*again) != words) std::abort();
  (void)vboot::to_json(*fault).dump();
  const auto filter = netsim::FrameFilter::compile(fault->match);
  if (!filter) {
    if (filter.error().kind != ErrorKind::usage || !filter.error().message.starts_with("match: "))
      std::abort();
    return 0;
  }
  std::array<std::uint8_t, 64> frame{};
  for (std::size_t i = 0; i < frame.size(); ++i) frame[i] = data[i % size];
  (void)(*filter)->matches(netsim::Frame::copy(frame));
  return 0;
}
