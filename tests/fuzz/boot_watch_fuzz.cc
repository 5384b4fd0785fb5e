// Any frames on a machine's cable: the boot watch must bear them, and its cheap look must not miss what the
// dissector would find. The first byte says which way the frame goes.
#include "base/result.h"
#include "vboot/watch/boot_watch.h"
#include "vboot/watch/why.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  if (size < 1) return 0;
  const ByteView bytes(data + 1, size - 1);
  const netsim::Frame frame = netsim::Frame::copy(bytes);
  if (!frame) return 0;
  netsim::Dissector dissector;
  const netsim::Summary summary = dissector.look(bytes);
  const bool is_v6 = summary.ethertype == 0x86dd;  // of which little is looked at: no lab boots by it
  if (summary.is_boot_step() && !is_v6 && !vboot::worth_a_look(bytes)) bug("a step of a boot was missed");
  const bool sent = data[0] % 2 == 0;
  vboot::BootWatch watch(sent ? frame.source() : frame.destination());
  vboot::BootRecord record;
  record.power_on(Time{});
  for (int i = 1; i < 3; ++i)
    watch.see(record, sent ? netsim::Direction::outbound : netsim::Direction::inbound, frame,
              Time{std::chrono::seconds(i)}, 0);
  if (vboot::explain(record, {}, Time{std::chrono::seconds(9)}).sentence.empty()) bug("no words");
  return 0;
}
