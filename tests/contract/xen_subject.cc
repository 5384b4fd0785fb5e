// Xen, where this test runs in dom0 (tests/nested). Paravirtual guests: the kernel that ROOKERY_XEN_KERNEL
// names, the module for its disks (ROOKERY_XEN_DISK_MODULE) and an initramfs of the contract's own, busybox
// and a few lines. Fully virtual ones: a boot sector on a disk.
#include <fmt/format.h>

#include <cstdlib>

#include "backends/xen/xen_backend.h"
#include "base/command.h"
#include "base/file.h"
#include "tests/contract/firmware_guest.h"

namespace rookery::contract {
namespace {

namespace fs = std::filesystem;

const char* script_of(Guest guest) {
  switch (guest) {
    case Guest::prints_and_powers_off:
      return "echo hello from the guest; /bin/busybox poweroff -f";
    case Guest::crashes:
      return "echo about to crash; echo c >/proc/sysrq-trigger";
    case Guest::echoes:
      return "echo listening; exec /bin/busybox cat";
    case Guest::reads_its_disk:
      return "/bin/busybox insmod /module; disk=/dev/xvda; until [ -e $disk ]; do /bin/busybox usleep 10000; "
             "done; "
             "/bin/busybox dd if=$disk bs=512 skip=1 count=1; /bin/busybox dd if=/init of=$disk bs=512 "
             "seek=1 count=1; "
             "/bin/busybox poweroff -f";
  }
  return "";
}

class XenSubject final : public Subject {
 public:
  XenSubject(backends::Chipset chipset, Duration patience)
      : backend_(loop_, patience), chipset_(chipset), paravirtual_(chipset != backends::Chipset::pc) {}
  std::string name() const override {
    if (!paravirtual_) return "xen-hvm";
    return chipset_ == backends::Chipset::pv ? "xen-pv" : "xen-pvh";
  }

  std::optional<std::string> unavailable() override {
    if (const auto able = backend_.probe(hardware()); !able) return able.error().message;
    if (!paravirtual_) return firmware_unavailable();
    const char* kernel = std::getenv("ROOKERY_XEN_KERNEL");
    if (kernel == nullptr) return "ROOKERY_XEN_KERNEL is to name a Linux kernel for Xen guests";
    const char* module = std::getenv("ROOKERY_XEN_DISK_MODULE");
    if (module == nullptr) return "ROOKERY_XEN_DISK_MODULE is to name that kernel's xen-blkfront.ko";
    kernel_ = kernel;
    module_ = module;
    for (const char* tool : {"busybox", "cpio", "xl"}) {
      if (const auto found = find_program(tool, tool); !found) return found.error().message;
    }
    busybox_ = *find_program("busybox", "busybox-static");
    return std::nullopt;
  }
  EventLoop& loop() override { return loop_; }
  Duration limit() const override { return std::chrono::minutes(4); }  // all of it may be emulated
  backends::Backend& backend() override { return backend_; }
  backends::Hardware hardware() const override {
    backends::Hardware hardware;
    hardware.chipset = chipset_;
    return hardware;
  }

  backends::MachineSpec spec(const std::string& machine, Guest guest) override {
    backends::MachineSpec spec;
    spec.name = machine;
    spec.memory = mebibytes(96);
    spec.folder = folder_.path() / machine;
    fs::create_directories(spec.folder);
    spec.hardware = hardware();
    if (paravirtual_) {
      spec.kernel = kernel_;
      spec.initramfs = initramfs(machine, guest);
      spec.command_line = "quiet panic=-1";
      if (guest == Guest::reads_its_disk) spec.disks = {{.file = make_disk(spec.folder)}};
      return spec;
    }
    assemble_firmware(spec.folder, guest, true);
    spec.hardware.disk = backends::DiskModel::ide;
    spec.disks = {{.file = make_disk(spec.folder, read_file(spec.folder / "firmware").value())}};
    return spec;
  }

  // What xl, which knows nothing of us, still sees: the list of domains has dom0 and a line above it.
  std::string remains() override {
    const auto list = run_checked({{"xl", "list"}, {}});
    if (!list) return list.error().message;
    return list->output.find("rookery-") == std::string::npos ? "" : list->output;
  }

 private:
  fs::path initramfs(const std::string& machine, Guest guest) {
    const fs::path tree = folder_.path() / (machine + ".tree");
    for (const char* folder : {"bin", "dev", "proc"}) fs::create_directories(tree / folder);
    fs::copy_file(busybox_, tree / "bin/busybox", fs::copy_options::overwrite_existing);
    (void)write_file(tree / "init",
                     std::string("#!/bin/busybox sh\n/bin/busybox mount -t devtmpfs dev /dev\n"
                                 "/bin/busybox mount -t proc proc /proc\n"
                                 "exec </dev/console >/dev/console 2>&1\n") +
                         script_of(guest) + "\n",
                     0755);
    fs::copy_file(module_, tree / "module", fs::copy_options::overwrite_existing);
    // The kernel has it run when dom0 asks the guest to go down.
    fs::create_directories(tree / "sbin");
    (void)write_file(tree / "sbin/poweroff", "#!/bin/busybox sh\nexec /bin/busybox poweroff -f\n", 0755);
    const fs::path archive = folder_.path() / (machine + ".cpio");
    Command pack;
    pack.argv = {"sh", "-c", "find . | cpio -o -H newc > ../" + archive.filename().string()};
    pack.folder = tree;
    (void)run_checked(pack);
    return archive;
  }

  TemporaryFolder folder_ = TemporaryFolder::make(fs::temp_directory_path(), "rookery-contract-").value();
  EventLoop loop_{std::make_unique<WallPacer>()};
  backends::XenBackend backend_;
  backends::Chipset chipset_;
  bool paravirtual_;
  fs::path kernel_, module_, busybox_;
};

}  // namespace

std::unique_ptr<Subject> make_xen_subject(backends::Chipset chipset, Duration patience) {
  return std::make_unique<XenSubject>(chipset, patience);
}

}  // namespace rookery::contract
