// User-Mode Linux with the kernel of the user's image and an initramfs of the contract's own: busybox and a
// few lines.
#include <dirent.h>

#include <fstream>

#include "backends/disk/vhost_block.h"
#include "backends/uml/uml_backend.h"
#include "base/command.h"
#include "base/file.h"
#include "images/store.h"
#include "tests/contract/backend_contract.h"

namespace rookery::contract {
namespace {

namespace fs = std::filesystem;

const char* script_of(Guest guest) {
  switch (guest) {
    case Guest::prints_and_powers_off:
      return "echo hello from the guest; /bin/busybox poweroff -f";
    case Guest::crashes:
      return "echo about to crash; exit 1";  // the death of the first process is a panic
    case Guest::echoes:
      return "echo listening; exec /bin/busybox cat";
    case Guest::reads_its_disk:
      return "/bin/busybox dd if=/dev/vda bs=512 skip=1 count=1; /bin/busybox dd if=/bin/busybox of=/dev/vda "
             "bs=512 "
             "seek=1 count=1; /bin/busybox poweroff -f";
  }
  return "";
}

// The kernel of the image that the user has built.
Result<fs::path> uml_kernel() {
  const auto store = images::Store::open();
  if (!store) return tl::unexpected<Error>(store.error());
  const auto image = store->find("debian-12");
  if (!image) return tl::unexpected<Error>(image.error());
  const auto manifest = store->manifest(*image);
  if (!manifest) return tl::unexpected<Error>(manifest.error());
  const auto* kernel = manifest->find(images::kLinuxUml);
  if (kernel == nullptr) return fail("the image has no User-Mode Linux kernel");
  return store->object(kernel->sha256);
}

class UmlSubject final : public Subject {
 public:
  std::string name() const override { return "uml"; }

  std::optional<std::string> unavailable() override {
    const auto kernel = uml_kernel();
    if (!kernel) return kernel.error().message;
    const auto busybox = find_program("busybox", "busybox-static");
    if (!busybox) return busybox.error().message;
    const auto cpio = find_program("cpio", "cpio");
    if (!cpio) return cpio.error().message;
    kernel_ = *kernel;
    busybox_ = *busybox;
    return std::nullopt;
  }
  EventLoop& loop() override { return loop_; }
  backends::Backend& backend() override { return backend_; }

  backends::MachineSpec spec(const std::string& machine, Guest guest) override {
    backends::MachineSpec spec;
    spec.name = machine;
    spec.memory = mebibytes(32);
    spec.folder = folder_.path() / machine;
    fs::create_directories(spec.folder);
    spec.kernel = kernel_;
    spec.initramfs = initramfs(machine, guest);
    spec.command_line = "quiet panic=-1";
    spec.memory_folder = memory_.path();
    if (guest == Guest::reads_its_disk) {
      disk_ = backends::ReadOnlyFile::open(make_disk(spec.folder)).value();
      device_ = backends::VhostBlockDevice::listen(loop_, spec.folder / "disk0", *disk_, "contract").value();
      spec.disks = {{.socket = "disk0"}};
    }
    return spec;
  }

  std::string remains() override {
    std::string left;
    for (const auto& entry : fs::directory_iterator(memory_.path())) left += entry.path().string() + " ";
    std::error_code error;
    for (const auto& process : fs::directory_iterator("/proc")) {
      const fs::path folder = fs::read_symlink(process.path() / "cwd", error);
      if (error) continue;
      if (folder.string().rfind(folder_.path().string() + "/", 0) != 0) continue;
      const auto status = read_file(process.path() / "stat");
      if (status && status->find(") Z ") == std::string::npos)
        left += "process " + process.path().filename().string() + " ";
    }
    return left;
  }

 private:
  fs::path initramfs(const std::string& machine, Guest guest) {
    const fs::path tree = folder_.path() / (machine + ".tree");
    for (const char* folder : {"bin", "dev", "proc"}) fs::create_directories(tree / folder);
    fs::copy_file(busybox_, tree / "bin/busybox", fs::copy_options::overwrite_existing);
    // /dev/console cannot be made without root: the guest opens it from devtmpfs.
    (void)write_file(tree / "init",
                     std::string("#!/bin/busybox sh\n/bin/busybox mount -t devtmpfs dev /dev\n"
                                 "exec </dev/console >/dev/console 2>&1\n") +
                         script_of(guest) + "\n",
                     0755);
    const fs::path archive = folder_.path() / (machine + ".cpio");
    Command pack;
    pack.argv = {"sh", "-c", "find . | cpio -o -H newc --quiet > ../" + archive.filename().string()};
    pack.folder = tree;
    (void)run_checked(pack);
    return archive;
  }

  TemporaryFolder folder_ = TemporaryFolder::make(fs::temp_directory_path(), "rookery-contract-").value();
  TemporaryFolder memory_ = TemporaryFolder::make("/dev/shm", "rookery-contract-").value();
  EventLoop loop_{std::make_unique<WallPacer>()};
  std::unique_ptr<backends::BlockStore> disk_;
  std::unique_ptr<backends::VhostBlockDevice> device_;
  backends::UmlBackend backend_{loop_};
  fs::path kernel_, busybox_;
};

}  // namespace

std::unique_ptr<Subject> make_uml_subject() {
  return std::make_unique<UmlSubject>();
}

}  // namespace rookery::contract
