#include "tests/contract/firmware_guest.h"

#include "base/command.h"
#include "base/file.h"

namespace rookery::contract {
namespace {

namespace fs = std::filesystem;

// COM1 is spoken to directly. The ACPI registers are at ACPI: PM1 status there, enable 2 behind it, control 4
// (ACPI 6.3 §4.8.3); 0x2000 there is SLP_EN with sleep type 0, which on QEMU's pc is S5.
//
// As firmware: the first instruction is 16 bytes before the end; PIIX4's power management function (00:01.3)
// is told where ACPI is. As a boot sector: below Xen, whose hvmloader puts the registers at 0xb000
// (xen/include/public/hvm/ioreq.h, ACPI_PM1A_EVT_BLK_ADDRESS_V1).
constexpr const char* kFirmware = R"(
.code16
.globl _start
.ifdef SECTOR
.set ACPI, 0xb000
.else
.set ACPI, 0x600
.endif
_start:
  cli
  movw %cs, %ax
  movw %ax, %ds
.ifndef SECTOR
  movl $0x80000b40, %eax   # PMBA
  movl $0x601, %ebx
  call configure
  movl $0x80000b80, %eax   # PMREGMISC: on
  movl $1, %ebx
  call configure
.endif
  movw $ACPI+2, %dx        # the power button is to be seen
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
  movw $ACPI, %dx
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
  movw $ACPI+4, %dx
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
command:                # %bh to the first IDE disk, of its second sector (ATA-4 §8, §9.6)
  movw $0x1f6, %dx
  movb $0xe0, %al       # by LBA
  outb %al, %dx
  movw $0x1f2, %dx
  movb $1, %al          # so many sectors
  outb %al, %dx
  incw %dx
  outb %al, %dx         # LBA
  incw %dx
  xorb %al, %al
  outb %al, %dx
  incw %dx
  outb %al, %dx
  movw $0x1f7, %dx
  movb %bh, %al
  outb %al, %dx
finish:
  movw $0x1f7, %dx
  inb %dx, %al
  testb $0x80, %al      # BSY
  jnz finish
  movw $0x1f0, %dx
  movw $256, %cx        # words of a sector
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
.ifdef SECTOR
reason:
  .long 3               # SHUTDOWN_crash
  .org 510
  .word 0xaa55
.else
  .org 0xfff0
  jmp _start
  .org 0xffff
  .byte 0
.endif
)";

// SCHEDOP_shutdown (xen/include/public/sched.h) by the call of AMD's processors, as which TCG poses.
constexpr const char* kCrashOfXen = R"(
  movl $29, %eax        # __HYPERVISOR_sched_op
  movl $2, %ebx
  movl $reason, %ecx
  vmmcall
  jmp stay
)";

constexpr const char* kReadAndWrite = R"(
  movb $0x20, %bh       # READ SECTORS
  call command
read:
  movw $0x1f0, %dx
  inw %dx, %ax
  call put
  movb %ah, %al
  call put
  loop read
  movb $0x30, %bh       # WRITE SECTORS
  call command
write:
  outw %ax, %dx
  loop write
  call finish
  jmp off
)";

std::string firmware_of(Guest guest, bool sector) {
  std::string deed, text;
  switch (guest) {
    case Guest::prints_and_powers_off:
      deed = "jmp off";
      text = "hello from the guest";
      break;
    case Guest::crashes:
      deed = sector ? kCrashOfXen : "movb $3, %al\n outb %al, $0xf4";  // isa-debug-exit
      text = "about to crash";
      break;
    case Guest::echoes:
      text = "listening";
      break;
    case Guest::reads_its_disk:
      deed = kReadAndWrite;
      text = "reading";
      break;
  }
  std::string source = kFirmware;
  source.replace(source.find("GUEST"), 5, deed);
  source.replace(source.find("TEXT"), 4, text);
  return source;
}

}  // namespace

std::optional<std::string> firmware_unavailable() {
  for (const char* tool : {"as", "ld"}) {
    if (const auto found = find_program(tool, "binutils"); !found) return found.error().message;
  }
  return std::nullopt;
}

void assemble_firmware(const fs::path& folder, Guest guest, bool sector) {
  auto made = write_file(folder / "firmware.s", firmware_of(guest, sector));
  if (made) {
    const auto object = run_checked(
        {{"as", "--32", "--defsym", sector ? "SECTOR=1" : "FIRMWARE=1", "-o", "firmware.o", "firmware.s"},
         folder});
    const auto linked = run_checked({{"ld", "-m", "elf_i386", "--oformat", "binary", "-Ttext",
                                      sector ? "0x7c00" : "0", "-o", "firmware", "firmware.o"},
                                     folder});
    if (!object) made = tl::unexpected<Error>(object.error());
    if (!linked) made = tl::unexpected<Error>(linked.error());
  }
  if (!made) throw std::runtime_error(made.error().message);
}

std::string processes_with_word(const std::string& prefix) {
  std::string left;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const auto words = read_file(entry.path() / "cmdline");
    if (!words || words->find(prefix) == std::string::npos) continue;
    left += entry.path().string() + " ";
  }
  return left;
}

}  // namespace rookery::contract
