// The place where one machine stands: what it is made of, its disk, its snapshots, and the backend's machine.
// Owned by the machine's Node, which hears of all that the machine does; when the seat goes, the machine's
// power is cut and nothing of it is left.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.h"
#include "disks/vhost_block.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/run/machine/boot_files.h"
#include "vboot/run/machine/cable_end.h"

namespace rookery::vboot {

struct SeatSetup {
  std::filesystem::path folder;         // made for this machine alone
  std::filesystem::path memory_folder;  // on tmpfs
  BootFiles boot;
  disks::BlockStore* medium = nullptr;  // its disk, if it starts from a medium; outlives the seat
  std::filesystem::path medium_file;    // what that is made of, for backends that read it themselves
  std::string command_line;
  std::uint64_t seed = 0;
  Duration clock{0};     // in virtual time: what its clock shows at the run's time zero, since 1970
  Lane* lane = nullptr;  // in lockstep; outlives the seat
};

// What the machine does; from the loop, never from within a call to the seat.
class SeatEvents {
 public:
  virtual ~SeatEvents() = default;
  // As backends::MachineEvents.
  virtual void machine_changed(backends::MachineState state, const std::string& reason) = 0;
  virtual void machine_wrote(std::string_view bytes) = 0;
};

class Seat final : private backends::MachineEvents {
 public:
  // The machine is off. `plan` and `events` outlive the seat, and so does what `cable` has plugged in.
  static Result<std::unique_ptr<Seat>> make(EventLoop& loop, const MachinePlan& plan, SeatSetup setup,
                                            backends::Backend& backend, CableEnd& cable, SeatEvents& events);

  backends::Machine& machine() { return *machine_; }
  backends::MachineState state() const { return machine_->state(); }
  std::vector<pid_t> processes() const { return machine_->processes(); }
  bool has_firmware() const { return able_.firmware; }
  // Of its backend, as Capabilities have it.
  const std::string& slowness() const { return able_.slowness; }
  const disks::VhostBlockDevice* disk() const { return disk_.get(); }  // null without one of ours

  // The machine's whole state, to come back to: of machines that can. What is known by that name already is
  // replaced. `done` comes once, from the loop, unless an error is returned or the machine goes first; when
  // the snapshot was taken, the guest stands still until `done` returns.
  Status take_snapshot(const std::string& name, backends::Snapshots::Done done);
  Status restore(const std::string& name, backends::Snapshots::Done done);

 private:
  Seat(const MachinePlan& plan, SeatSetup setup, SeatEvents& events)
      : plan_(plan), setup_(std::move(setup)), events_(events) {}
  Result<backends::MachineSpec> spec(std::vector<backends::NicPlug> nics) const;
  Status put_disk(EventLoop& loop, backends::MachineSpec& spec);
  bool has_modules() const { return backends::is_given_a_kernel(plan_.hardware.chipset); }
  Result<backends::Snapshots*> snapshots();

  void state_changed(backends::Machine&, backends::MachineState state, const std::string& reason) override {
    events_.machine_changed(state, reason);
  }
  void console_output(backends::Machine&, std::string_view bytes) override { events_.machine_wrote(bytes); }

  const MachinePlan& plan_;
  SeatSetup setup_;
  SeatEvents& events_;
  backends::Capabilities able_;
  std::unique_ptr<disks::VhostBlockDevice> disk_;
  std::unique_ptr<backends::Machine> machine_;  // goes before its disk
  std::map<std::string, std::filesystem::path> snapshots_;
};

}  // namespace rookery::vboot
