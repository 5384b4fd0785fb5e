#include "vboot/run/machine/seat.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

namespace rookery::vboot {
namespace {

// The disk's socket within the machine's folder. All machines have the same, so that nothing about one
// machine is in its kernel's command line.
constexpr const char* kDisk = "disk0";
constexpr std::size_t kSnapshotsPerMachine = 8;

}  // namespace

Result<std::unique_ptr<Seat>> Seat::make(EventLoop& loop, const MachinePlan& plan, SeatSetup setup,
                                         backends::Backend& backend, CableEnd& cable, SeatEvents& events) {
  std::unique_ptr<Seat> seat(new Seat(plan, std::move(setup), events));
  std::error_code error;
  std::filesystem::create_directories(seat->setup_.folder, error);
  if (error) return fail_errno("cannot make " + seat->setup_.folder.string(), error.value());
  auto able = backend.probe(plan.hardware);
  if (!able) return tl::unexpected<Error>(able.error());
  seat->able_ = std::move(*able);
  auto nics = cable.plugs(seat->able_.wire, seat->able_.management_wire);
  if (!nics) return tl::unexpected<Error>(nics.error());
  auto spec = seat->spec(std::move(*nics));
  if (!spec) return tl::unexpected<Error>(spec.error());
  ROOKERY_TRY(seat->put_disk(loop, *spec));
  auto machine = backend.create(std::move(*spec), *seat);
  if (!machine) return tl::unexpected<Error>(machine.error());
  seat->machine_ = std::move(*machine);
  return seat;
}

// All but its disk.
Result<backends::MachineSpec> Seat::spec(std::vector<backends::NicPlug> nics) const {
  backends::MachineSpec spec;
  spec.name = plan_.name;
  spec.memory = plan_.memory;
  spec.folder = setup_.folder;
  if (!able_.firmware || has_modules()) {  // otherwise its own finds what to boot
    const bool wants_storage = plan_.storage_kernel && !has_modules();  // whose kernel has all as modules
    spec.kernel = wants_storage ? setup_.boot.storage_kernel : setup_.boot.kernel;
    if (wants_storage && spec.kernel.empty())
      return rookery::fail(
          "the lab's image has no kernel with iSCSI and NFS, which this machine needs: 'rookery image build "
          "--storage' adds it (with '--name IMAGE' for another image than debian-12; a kernel is compiled, "
          "which takes some minutes and the network)");
    spec.initramfs = setup_.boot.initramfs;
    spec.modules = setup_.boot.modules;
    spec.command_line = setup_.command_line + setup_.boot.words;
  }
  spec.hardware = plan_.hardware;
  spec.memory_folder = setup_.memory_folder;
  spec.seed = setup_.seed;
  spec.clock = setup_.clock;
  spec.lane = setup_.lane;
  spec.nics = std::move(nics);
  return spec;
}

Status Seat::put_disk(EventLoop& loop, backends::MachineSpec& spec) {
  if (setup_.medium == nullptr) return {};
  // Who is given a kernel has nothing but a disk to find the system on.
  if (!able_.disk_wire && has_modules()) {
    return rookery::fail(ErrorKind::usage,
                         fmt::format("machine '{}': {}", plan_.name, able_.why_not("disk")));
  }
  if (!able_.disk_wire) return {};
  if (*able_.disk_wire == backends::DiskWire::file) {
    spec.disks.push_back({.file = setup_.medium_file});
    return {};
  }
  auto disk = disks::VhostBlockDevice::listen(loop, setup_.folder / kDisk, *setup_.medium, "rookery-medium",
                                              setup_.lane);
  if (!disk) return tl::unexpected<Error>(disk.error());
  disk_ = std::move(*disk);
  spec.disks.push_back({.socket = kDisk});
  return {};
}

Result<backends::Snapshots*> Seat::snapshots() {
  if (backends::Snapshots* able = machine_->snapshots()) return able;
  return rookery::fail(ErrorKind::usage,
                       fmt::format("{} is a machine of the backend {}, which has no snapshots: {}",
                                   plan_.name, plan_.backend, able_.why_not("snapshot")));
}

Status Seat::take_snapshot(const std::string& name, backends::Snapshots::Done done) {
  const auto able = snapshots();
  if (!able) return tl::unexpected<Error>(able.error());
  if (snapshots_.size() >= kSnapshotsPerMachine && snapshots_.count(name) == 0)
    return rookery::fail(ErrorKind::usage, plan_.name + " has " + std::to_string(kSnapshotsPerMachine) +
                                               " snapshots already; a name of one of them replaces it");
  // The old one stands until the new one does.
  const std::filesystem::path file = setup_.memory_folder / (plan_.name + "." + name + ".snapshot");
  const std::filesystem::path fresh = file.string() + ".new";
  return (*able)->take(fresh, [this, name, file, fresh, done = std::move(done)](const Status& taken) {
    if (!taken) return done(taken);
    std::error_code error;
    std::filesystem::rename(fresh, file, error);
    if (error) return done(fail_errno("cannot rename " + fresh.string(), error.value()));
    snapshots_[name] = file;
    done({});
  });
}

Status Seat::restore(const std::string& name, backends::Snapshots::Done done) {
  const auto able = snapshots();
  if (!able) return tl::unexpected<Error>(able.error());
  const auto found = snapshots_.find(name);
  if (found == snapshots_.end())
    return rookery::fail(ErrorKind::usage, plan_.name + " has no snapshot '" + name + "'");
  return (*able)->restore(found->second, std::move(done));
}

}  // namespace rookery::vboot
