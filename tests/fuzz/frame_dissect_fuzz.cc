// Any bytes as a frame: the dissector, what a switch snoops and the frame's own accessors must bear them. Two
// looks with one dissector, so that what the first one leaves behind (a TFTP transfer) meets the second.
#include "base/result.h"
#include "netsim/dissect.h"
#include "netsim/frame.h"
#include "netsim/link.h"
#include "netsim/snooping.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  using namespace rookery::netsim;
  static Dissector dissector;
  const ByteView bytes(data, size);
  const Summary summary = dissector.look(bytes);
  if (text(summary).size() > 4 * kLongestWireText + 512) bug("a summary without a bound");
  if (size > 64) dissector.look(bytes.subspan(size / 2));

  Frame frame = Frame::copy(bytes);
  if (!frame) return 0;
  if (frame.ethertype() != summary.ethertype && frame.vlan_tag().has_value())
    bug("two readings of one frame");
  (void)wire_octets(frame);
  (void)snoop(frame);
  (void)reported_groups(frame);
  const ByteBuffer before(frame.bytes().begin(), frame.bytes().end());
  if (Frame tagged = Frame(frame).tagged(VlanTag{10})) {
    const Frame bare = std::move(tagged).untagged();
    if (ByteBuffer(bare.bytes().begin(), bare.bytes().end()) != before) bug("a tag left its mark");
  }
  (void)std::move(frame).untagged();
  return 0;
}
