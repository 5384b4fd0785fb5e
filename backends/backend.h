// What every hypervisor looks like from the product's head: small and total. What only some can do is an
// interface of its own, asked for and possibly absent. Everything is called from, and reports to, one event
// loop.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/hardware.h"
#include "base/bytes.h"
#include "base/loop/event_loop.h"
#include "base/loop/lane.h"
#include "base/result.h"
#include "base/units.h"

namespace rookery::backends {

// What lies at the socket of a machine's NIC.
enum class NicWire {
  vhost_user,  // the device side of virtio-net
  stream,      // a unix stream, each frame behind its length in four bytes, big-endian
  datagram,    // unix datagrams, a frame in each; the machine's own socket is beside, with ".machine" behind
  interface  // a unix stream that says the name of an interface of the host, which is there while it is open
};

// How a machine's disk is given to it.
enum class DiskWire {
  vhost_user,  // a socket at which our own device answers
  file         // a file of the host, which is only read
};

// Of machines with the same hardware.
struct Capabilities {
  bool pause = false;
  bool snapshot = false;
  bool virtual_time = false;
  bool firmware = false;  // boots from its NIC by itself; otherwise it is given the virtual boot ROM
  bool press = false;     // has a power button that the guest's system sees
  unsigned nics_max = 0;
  NicWire wire = NicWire::vhost_user;  // of the NICs of the network
  NicWire management_wire = NicWire::vhost_user;
  std::optional<DiskWire> disk_wire{};  // none: they have no disks
  std::string slowness{};  // why its machines are slower here than they could be, for a person; or empty
  // A capability that such machines lack (a field's name above, or "disk"), and why: words for a person, with
  // what else to do.
  struct Lack {
    std::string_view what, why;
  };
  std::vector<Lack> lacks{};
  std::string_view why_not(std::string_view what) const;  // empty: nobody says
};

enum class PowerAction {
  press,  // the button: the guest's system is asked to go down
  cut,    // the plug: at once, nothing is asked
  reset   // cut and start again
};

enum class MachineState { off, running, failed };
std::string_view to_string(MachineState state);

// A NIC that lives in our process, for machines that do (the fake).
class InProcessNic {
 public:
  virtual ~InProcessNic() = default;
  virtual void to_network(ByteView frame) = 0;
  std::function<void(ByteView)> to_machine;  // set by the machine
};

// One end of a cable: where the machine plugs in its NIC. vboot makes the other end (a netsim port) first.
struct NicPlug {
  std::array<std::uint8_t, 6> mac{};
  std::string socket{};                // relative to MachineSpec::folder
  InProcessNic* in_process = nullptr;  // instead of a socket
  bool management = false;             // nothing boots from it, and it is virtio whatever the others are
  NicWire wire = NicWire::vhost_user;  // one that its backend's Capabilities have
};

struct DiskPlug {
  std::string socket{};          // relative to MachineSpec::folder; or:
  std::filesystem::path file{};  // see Capabilities::disk_wire
};

struct MachineSpec {
  std::string name;
  Bytes memory;
  std::filesystem::path folder;  // of this machine alone, private, short-lived: sockets and the like
  std::filesystem::path kernel;  // none: its firmware finds something to boot
  std::filesystem::path initramfs;
  std::filesystem::path
      modules;               // an archive that the kernel is given behind the initramfs; none: it needs none
  std::string command_line;  // the same for all machines of a kind: nothing about this one may be in it
  std::vector<NicPlug> nics;
  std::vector<DiskPlug> disks;
  std::uint64_t seed = 0;  // of what the machine takes for randomness, where time is virtual
  Duration clock{0};  // likewise: what the machine's clock shows at the loop's time zero, since 1970 (UTC)
  std::filesystem::path memory_folder;  // on tmpfs: guest memory lies there, unlinked
  Lane* lane = nullptr;                 // in lockstep; outlives the machine
  Hardware hardware;                    // of machines with firmware
};

class Machine;

// The reason of a machine that went off because its guest asked for a reset (or could do nothing else).
inline constexpr std::string_view kResetByGuest = "reset by the guest";
// The reason of both changes of a machine that goes back to a snapshot.
inline constexpr std::string_view kRestored = "restored";

// Told of what happens to machines; from the loop, never from within a call to the machine.
class MachineEvents {
 public:
  virtual ~MachineEvents() = default;
  // `reason` says why, for a person: "powered off", "killed by signal 6 (Aborted)". A reset is two changes:
  // to off and, with the reason "reset" as well, to running. start() is not told of: who called it knows.
  virtual void state_changed(Machine& machine, MachineState state, const std::string& reason) = 0;
  virtual void console_output(Machine& machine, std::string_view bytes) = 0;
};

// Machines that can be stopped and go on. In lockstep all of these are exact; otherwise as the host can.
class Pausing {
 public:
  virtual ~Pausing() = default;
  // `frozen` comes once, from within or from the loop: when the machine computes nothing any more, or will
  // not be frozen, because it ended or was thawed first. Until then it may still do something; of one that is
  // off, it comes when it was started. What it said before may be heard later.
  virtual Status freeze(Action frozen) = 0;
  virtual Status thaw() = 0;
  // Computes only once in so long; zero: as fast as it can.
  virtual Status slow(Duration gap) = 0;
};

// Machines whose whole state, memory and processor and devices, can be written to a file and taken up again.
// What lies on disks is no part of it.
class Snapshots {
 public:
  using Done =
      std::function<void(const Status&)>;  // comes once, from the loop; not if what follows is refused
  virtual ~Snapshots() = default;
  // Writes the running guest to `file`, which must not be there. It stands still meanwhile, and still does
  // when `done` comes; then it goes on, unless it is frozen. A file that failed is removed.
  virtual Status take(const std::filesystem::path& file, Done done) = 0;
  // Cuts the guest if it runs, and goes on as `file` has it: two changes as of a reset, both with the reason
  // kRestored; of a machine that was off only the second. A file that is none is the end of the machine.
  virtual Status restore(const std::filesystem::path& file, Done done) = 0;
};

class Machine {  // destruction power-cuts the guest and waits until nothing of it is left
 public:
  virtual ~Machine() = default;
  virtual const std::string& name() const = 0;
  virtual Status start() = 0;  // an error if it runs already
  virtual Status power(PowerAction action) = 0;
  virtual MachineState state() const = 0;
  virtual void console_input(std::string_view bytes) = 0;
  // Host processes that are this machine, for accounting, without those that they have started themselves;
  // empty when off.
  virtual std::vector<pid_t> processes() const = 0;
  virtual Pausing* pausing() { return nullptr; }
  virtual Snapshots* snapshots() { return nullptr; }
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  // What such machines can do here, measured, without side effects.
  virtual Result<Capabilities> probe(const Hardware& hardware) = 0;
  virtual Result<std::unique_ptr<Machine>> create(MachineSpec spec, MachineEvents& events) = 0;
};

}  // namespace rookery::backends
