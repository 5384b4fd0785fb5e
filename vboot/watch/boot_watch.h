// Watches one machine's cable while it boots: picks the few frames that are steps of a boot out of all that
// pass, and moves the boot record on with them. Owned by the machine's node; the record is the node's too.
//
// Every frame of a boot comes by here, most of them bulk data: those are told from the others by a few bytes,
// and only a step is dissected.
#pragma once

#include "netsim/dissect.h"
#include "netsim/frame.h"
#include "netsim/tap.h"
#include "vboot/watch/boot_record.h"

namespace rookery::vboot {

// Whether the dissector could find a step of a boot in it.
bool worth_a_look(ByteView frame);

class BootWatch {
 public:
  explicit BootWatch(netsim::MacAddress machine) : machine_(machine) {}

  // `frame_number`: its number in the capture that runs on this cable, or 0.
  void see(BootRecord& record, netsim::Direction direction, const netsim::Frame& frame, Time now,
           std::uint64_t frame_number);

 private:
  void move_on(BootRecord& record, const netsim::Summary& summary, bool sent, Time now);

  netsim::MacAddress machine_;
  netsim::Dissector dissector_;  // knows the TFTP transfers of this machine
};

}  // namespace rookery::vboot
