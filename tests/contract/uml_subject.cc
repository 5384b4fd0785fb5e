// User-Mode Linux with the kernel and the initramfs (for its busybox) of the user's image, and behind that an
// initramfs of the contract's own: an /init of a few lines, which takes the place of the image's.
#include <dirent.h>

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "backends/uml/uml_backend.h"
#include "base/file.h"
#include "disks/vhost_block.h"
#include "images/make/archive_writer.h"
#include "images/store/store.h"
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

// What the image that the user has built holds under that name.
Result<fs::path> of_the_image(std::string_view component) {
  const auto store = images::Store::open();
  if (!store) return tl::unexpected<Error>(store.error());
  const auto image = store->find("debian-12");
  if (!image) return tl::unexpected<Error>(image.error());
  const auto manifest = store->manifest(*image);
  if (!manifest) return tl::unexpected<Error>(manifest.error());
  const auto* found = manifest->find(component);
  if (found == nullptr) return fail("the image has no " + std::string(component));
  return store->object(found->sha256);
}

class UmlSubject final : public Subject {
 public:
  std::string name() const override { return "uml"; }

  std::optional<std::string> unavailable() override {
    const auto kernel = of_the_image(images::kLinuxUml);
    if (!kernel) return kernel.error().message;
    const auto programs = of_the_image(images::kStageOneCpio);
    if (!programs) return programs.error().message;
    kernel_ = *kernel;
    programs_ = *programs;
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
      disk_ = disks::ReadOnlyFile::open(make_disk(spec.folder)).value();
      device_ = disks::VhostBlockDevice::listen(loop_, spec.folder / "disk0", *disk_, "contract").value();
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
    const fs::path own = folder_.path() / (machine + ".own.cpio"),
                   both = folder_.path() / (machine + ".cpio");
    auto writer = images::ArchiveWriter::create(own, images::ArchiveWriter::Format::initramfs, 0).value();
    const std::string script = std::string(
                                   "#!/bin/busybox sh\n/bin/busybox mount -t devtmpfs dev /dev\n"
                                   "exec </dev/console >/dev/console 2>&1\n") +
                               script_of(guest) + "\n";
    BOOST_REQUIRE(writer.add({"init", S_IFREG | 0755, script}).has_value());
    BOOST_REQUIRE(writer.finish().has_value());
    std::ofstream out(both, std::ios::binary);
    for (const fs::path& part : {programs_, own}) out << std::ifstream(part, std::ios::binary).rdbuf();
    return both;
  }

  TemporaryFolder folder_ = TemporaryFolder::make(fs::temp_directory_path(), "rookery-contract-").value();
  TemporaryFolder memory_ = TemporaryFolder::make("/dev/shm", "rookery-contract-").value();
  EventLoop loop_{std::make_unique<WallPacer>()};
  std::unique_ptr<disks::BlockStore> disk_;
  std::unique_ptr<disks::VhostBlockDevice> device_;
  backends::UmlBackend backend_{loop_};
  fs::path kernel_, programs_;
};

}  // namespace

std::unique_ptr<Subject> make_uml_subject() {
  return std::make_unique<UmlSubject>();
}

}  // namespace rookery::contract
