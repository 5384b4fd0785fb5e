// libvirt's QEMU under TCG: within this process, or (with ROOKERY_LIBVIRT_URI) where that says.
#include <cstdlib>

#include "backends/libvirt/libvirt_backend.h"
#include "base/file.h"
#include "tests/contract/firmware_guest.h"

namespace rookery::contract {
namespace {

namespace fs = std::filesystem;

backends::LibvirtUri uri_to_try() {
  const char* chosen = std::getenv("ROOKERY_LIBVIRT_URI");
  return backends::parse_libvirt_uri(chosen != nullptr ? chosen : backends::kDefaultLibvirtUri).value();
}

// The embedded driver has one root as long as the process lives.
const fs::path& embed_root() {
  static const TemporaryFolder folder =
      TemporaryFolder::make(fs::temp_directory_path(), "rookery-lv-").value();
  return folder.path();
}

class LibvirtSubject final : public Subject {
 public:
  std::string name() const override { return "libvirt"; }
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
    spec.hardware.more_arguments = {"-bios", (spec.folder / "firmware").string(), "-device",
                                    "isa-debug-exit,iobase=0xf4,iosize=1"};
    if (guest == Guest::reads_its_disk) {
      spec.hardware.disk = backends::DiskModel::ide;
      spec.disks = {{.file = make_disk(spec.folder)}};
    }
    return spec;
  }

  std::string remains() override { return processes_with_word(folder_.path().string()); }

 private:
  EventLoop loop_{std::make_unique<WallPacer>()};
  TemporaryFolder folder_ = TemporaryFolder::make(fs::temp_directory_path(), "rookery-contract-").value();
  backends::LibvirtBackend backend_{
      loop_, {uri_to_try(), {"contract", folder_.path().string()}, embed_root()}, [] { return false; }};
};

}  // namespace

std::unique_ptr<Subject> make_libvirt_subject() {
  return std::make_unique<LibvirtSubject>();
}

}  // namespace rookery::contract
