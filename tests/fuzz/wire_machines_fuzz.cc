// Any frames on an uplink, and any bytes as the console of firmware. Each input is a row of frames, each
// behind its length in two bytes and a byte whose lowest bit says which way it goes.
#include "base/result.h"
#include "vboot/watch/why.h"
#include "vboot/watch/wire_machines.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  using namespace rookery::vboot;
  WireMachines machines;
  ByteReader reader({data, size});
  Time now{};
  while (reader.ok() && reader.remaining() > 3) {
    const std::size_t length = reader.be16();
    const bool from_wire = (reader.u8() & 1) != 0;
    const netsim::Frame frame = netsim::Frame::copy(reader.take(std::min(length, reader.remaining())));
    now = now + std::chrono::milliseconds(10);
    if (!frame) continue;
    const WireMachine* changed = machines.see(from_wire, frame, now, 0);
    if (changed != nullptr && changed->boot.stage == Stage::off) bug("a machine that was seen is off");
  }
  for (const auto& one : machines.in_order()) {
    if (machines.find(one->mac.text()) != one.get()) bug("a machine that is not found by its address");
    if (explain(one->boot, {}, now).sentence.empty()) bug("a reason without words");
  }
  const std::string console(reinterpret_cast<const char*>(data), size);
  if (const auto says = firmware_says({console}); says && says->text.empty())
    bug("firmware that says nothing");
  (void)hypervisor_hint(console);
  return 0;
}
