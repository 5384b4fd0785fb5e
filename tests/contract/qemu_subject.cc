// QEMU with guests that are a firmware of some 200 bytes: they work even where a KVM crawls so that no Linux
// would ever boot.
#include <fmt/format.h>

#include "backends/qemu/accelerator.h"
#include "backends/qemu/qemu_backend.h"
#include "base/command.h"
#include "base/file.h"
#include "tests/contract/backend_contract.h"

namespace rookery::contract {
namespace {

namespace fs = std::filesystem;

// The first instruction is 16 bytes before the end. COM1 is spoken to directly. The ACPI registers are at
// 0x600 once PIIX4's power management function (00:01.3) is told so: PM1 status 0x600, enable 0x602, control
// 0x604 (ACPI 6.3 §4.8.3); 0x2000 there is SLP_EN with sleep type 0, which on QEMU's pc is S5.
constexpr const char* kFirmware = R"(
.code16
.globl _start
_start:
  cli
  movw %cs, %ax
  movw %ax, %ds
  movl $0x80000b40, %eax   # PMBA
  movl $0x601, %ebx
  call configure
  movl $0x80000b80, %eax   # PMREGMISC: on
  movl $1, %ebx
  call configure
  movw $0x602, %dx         # the power button is to be seen
  movw $0x100, %ax
  outw %ax, %dx
  movw $text, %si
next:
  lodsb
  testb %al, %al
  jz said
  call put
  jmp next
said:
GUEST
echo:
  movw $0x600, %dx
  inw %dx, %ax
  testb $1, %ah         # PWRBTN_STS
  jnz off
  movw $0x3fd, %dx
  inb %dx, %al
  testb $1, %al         # a byte has come
  jz echo
  movw $0x3f8, %dx
  inb %dx, %al
  call put
  jmp echo
off:
  movw $0x604, %dx
  movw $0x2000, %ax
  outw %ax, %dx
stay:
  hlt
  jmp stay
configure:
  movw $0xcf8, %dx
  outl %eax, %dx
  movw $0xcfc, %dx
  movl %ebx, %eax
  outl %eax, %dx
  ret
put:
  movb %al, %bl
wait:
  movw $0x3fd, %dx
  inb %dx, %al
  testb $0x20, %al      # there is room
  jz wait
  movw $0x3f8, %dx
  movb %bl, %al
  outb %al, %dx
  ret
text:
  .asciz "TEXT\r\n"
  .org 0xfff0
  jmp _start
  .org 0xffff
  .byte 0
)";

std::string firmware_of(Guest guest) {
  std::string deed, text;
  switch (guest) {
    case Guest::prints_and_powers_off:
      deed = "jmp off";
      text = "hello from the guest";
      break;
    case Guest::crashes:
      deed = "movb $3, %al\n outb %al, $0xf4";  // isa-debug-exit
      text = "about to crash";
      break;
    case Guest::echoes:
      text = "listening";
      break;
  }
  std::string source = kFirmware;
  source.replace(source.find("GUEST"), 5, deed);
  source.replace(source.find("TEXT"), 4, text);
  return source;
}

class QemuSubject final : public Subject {
 public:
  explicit QemuSubject(backends::Accelerator accelerator)
      : accelerator_(accelerator), backend_(loop_, accelerator) {}
  std::string name() const override {
    return accelerator_ == backends::Accelerator::kvm ? "qemu-kvm" : "qemu";
  }

  std::optional<std::string> unavailable() override {
    if (const auto able = backend_.probe(); !able) return able.error().message;
    for (const char* tool : {"as", "ld"}) {
      if (const auto found = find_program(tool, "binutils"); !found) return found.error().message;
    }
    return std::nullopt;
  }
  EventLoop& loop() override { return loop_; }
  backends::Backend& backend() override { return backend_; }

  backends::MachineSpec spec(const std::string& machine, Guest guest) override {
    backends::MachineSpec spec;
    spec.name = machine;
    spec.memory = mebibytes(16);
    spec.folder = folder_.path() / machine;
    fs::create_directories(spec.folder);
    assemble(spec.folder, guest);
    spec.hardware.more_arguments = {"-bios", "firmware", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"};
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
  static void assemble(const fs::path& folder, Guest guest) {
    auto made = write_file(folder / "firmware.s", firmware_of(guest));
    if (made) {
      const auto object = run_checked({{"as", "--32", "-o", "firmware.o", "firmware.s"}, folder});
      const auto linked = run_checked(
          {{"ld", "-m", "elf_i386", "--oformat", "binary", "-Ttext", "0", "-o", "firmware", "firmware.o"},
           folder});
      if (!object) made = tl::unexpected<Error>(object.error());
      if (!linked) made = tl::unexpected<Error>(linked.error());
    }
    if (!made) throw std::runtime_error(made.error().message);
  }

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
