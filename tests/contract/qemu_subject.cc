#include <fmt/format.h>

#include "backends/qemu/accelerator.h"
#include "backends/qemu/qemu_backend.h"
#include "base/file.h"
#include "tests/contract/firmware_guest.h"

namespace rookery::contract {
namespace {

namespace fs = std::filesystem;

class QemuSubject final : public Subject {
 public:
  explicit QemuSubject(backends::Accelerator accelerator)
      : accelerator_(accelerator), backend_(loop_, accelerator) {}
  std::string name() const override {
    return accelerator_ == backends::Accelerator::kvm ? "qemu-kvm" : "qemu";
  }

  std::optional<std::string> unavailable() override {
    if (const auto able = backend_.probe({}); !able) return able.error().message;
    return firmware_unavailable();
  }
  EventLoop& loop() override { return loop_; }
  backends::Backend& backend() override { return backend_; }

  backends::MachineSpec spec(const std::string& machine, Guest guest) override {
    backends::MachineSpec spec;
    spec.name = machine;
    spec.memory = mebibytes(16);
    spec.folder = folder_.path() / machine;
    fs::create_directories(spec.folder);
    assemble_firmware(spec.folder, guest);
    spec.hardware.more_arguments = {"-bios", "firmware", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"};
    if (guest == Guest::reads_its_disk) {
      spec.hardware.disk = backends::DiskModel::ide;
      spec.disks = {{.file = make_disk(spec.folder)}};
    }
    return spec;
  }

  std::string remains() override {
    std::string left;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::error_code error;
      const fs::path place = fs::read_symlink(entry.path() / "cwd", error);
      if (!error && place.string().starts_with(folder_.path().string())) left += entry.path().string() + " ";
    }
    return left;
  }

 private:
  EventLoop loop_{std::make_unique<WallPacer>()};
  TemporaryFolder folder_ = TemporaryFolder::make(fs::temp_directory_path(), "rookery-contract-").value();
  backends::Accelerator accelerator_;
  backends::QemuBackend backend_;
};

}  // namespace

bool host_has_kvm() {
  return backends::kvm_opens().has_value();
}

std::unique_ptr<Subject> make_qemu_subject(bool kvm) {
  return std::make_unique<QemuSubject>(kvm ? backends::Accelerator::kvm : backends::Accelerator::tcg);
}

}  // namespace rookery::contract
