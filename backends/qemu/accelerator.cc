#include "backends/qemu/accelerator.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <charconv>
#include <fstream>

#include "base/command.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/process.h"

namespace rookery::backends {
namespace {

namespace fs = std::filesystem;

// A firmware that counts down from 30 million and ends QEMU by its debug exit: some 0.1 s of work for TCG.
constexpr std::uint8_t kWork[] = {
    0x66, 0xb9, 0x80, 0xc3, 0xc9, 0x01,  // mov ecx, 30000000
    0x66, 0x49,                          // dec ecx
    0x75, 0xfc,                          // jnz to the dec
    0xba, 0xf4, 0x00,                    // mov dx, 0xf4
    0xb0, 0x10,                          // mov al, 0x10
    0xee,                                // out dx, al
    0xeb, 0xfe,                          // jmp to itself
};
constexpr int kWorkExit = 0x10 << 1 | 1;  // hw/misc/debugexit.c
// The first instruction is at the end of the firmware, less 16 bytes; there: jmp to its beginning.
constexpr std::size_t kFirmwareSize = 1 << 16, kFirst = kFirmwareSize - 16;
constexpr std::uint8_t kJump[] = {0xe9, 0x0d, 0x00};  // from 0xfff3 on by 13: the segment wraps to 0
constexpr Duration kLongest = std::chrono::seconds(20);

// How long that takes; an Error if it does not come to its end within `limit`.
Result<Duration> measure(const QemuFiles& files, Accelerator accelerator, const fs::path& firmware,
                         Duration limit) {
  EventLoop loop(std::make_unique<WallPacer>());
  ProcessSpec spec;
  spec.argv = {files.program.string(),
               "-nodefaults",
               "-no-user-config",
               "-display",
               "none",
               "-machine",
               fmt::format("pc,accel={}", to_string(accelerator)),
               "-cpu",
               std::string(processor_model(accelerator)),
               "-m",
               "16",
               "-device",
               "isa-debug-exit,iobase=0xf4,iosize=1",
               "-bios",
               firmware.filename().string()};
  spec.folder = firmware.parent_path();
  std::optional<ExitStatus> end;
  const Time before = loop.now();
  auto process = ChildProcess::start(loop, spec, [&](ExitStatus status) { end = status; });
  if (!process) return tl::unexpected<Error>(process.error());
  if (!loop.run_until([&] { return end.has_value(); }, limit))
    return fail(ErrorKind::timeout, fmt::format("not done after {:.1f} s", seconds(limit)));
  if (end->code != kWorkExit) return fail(end->describe());
  return loop.now() - before;
}

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) return line;
  }
  return "";
}

// What the measurement depends on.
std::string host_key(const std::string& version) {
  utsname kernel{};
  ::uname(&kernel);
  return fmt::format("{} {} {} {}", kernel.release, kernel.version, processor(), version);
}

Result<AcceleratorChoice> measure_both(const QemuFiles& files) {
  auto folder = TemporaryFolder::make("rookery-qemu-");
  if (!folder) return tl::unexpected<Error>(folder.error());
  std::string firmware(kFirmwareSize, '\0');
  std::copy(std::begin(kWork), std::end(kWork), firmware.begin());
  std::copy(std::begin(kJump), std::end(kJump), firmware.begin() + kFirst);
  const fs::path file = folder->path() / "firmware";
  ROOKERY_TRY(write_file(file, firmware));
  const auto tcg = measure(files, Accelerator::tcg, file, kLongest);
  if (!tcg) return tl::unexpected<Error>(Error(tcg.error()).while_doing("measuring QEMU's TCG"));
  // Whatever takes twice as long is no acceleration; there is no need to know how much longer it takes.
  const auto kvm = measure(files, Accelerator::kvm, file, 2 * *tcg);
  if (!kvm) {
    return AcceleratorChoice{Accelerator::tcg,
                             fmt::format("/dev/kvm is no use: {} with what TCG does in {:.2f} s",
                                         kvm.error().message, seconds(*tcg))};
  }
  const std::string times = fmt::format("KVM {:.2f} s, TCG {:.2f} s", seconds(*kvm), seconds(*tcg));
  if (*kvm < *tcg) return AcceleratorChoice{Accelerator::kvm, "KVM is quicker here: " + times};
  return AcceleratorChoice{Accelerator::tcg, "/dev/kvm opens, but is slower than TCG: " + times};
}

}  // namespace

Status kvm_opens() {
  const UniqueFd kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (kvm) return {};
  auto error = fail_errno("cannot open /dev/kvm");
  if (errno == EACCES) error.value().message += "; its group (kvm, usually) may: adduser <you> kvm";
  return error;
}

Result<std::pair<int, int>> parse_qemu_version(std::string_view text) {
  constexpr std::string_view kBefore = "QEMU emulator version ";
  int major = 0, minor = 0;
  const char* end = text.data() + text.size();
  if (text.starts_with(kBefore)) {
    const auto first = std::from_chars(text.data() + kBefore.size(), end, major);
    if (first.ec == std::errc() && first.ptr != end && *first.ptr == '.' &&
        std::from_chars(first.ptr + 1, end, minor).ec == std::errc())
      return std::pair(major, minor);
  }
  return fail("this is no QEMU: it calls itself '" + std::string(text.substr(0, text.find('\n'))) + "'");
}

Result<AcceleratorChoice> choose_accelerator(const QemuFiles& files) {
  if (const auto opens = kvm_opens(); !opens)
    return AcceleratorChoice{Accelerator::tcg, opens.error().message};
  const auto version = run_checked({{files.program.string(), "--version"}, {}});
  if (!version) return tl::unexpected<Error>(version.error());
  const auto cache = cache_folder();
  if (!cache) return tl::unexpected<Error>(cache.error());
  const fs::path remembered =
      *cache / ("qemu-accelerator-" + to_hex(sha256(as_bytes(host_key(version->output)))).substr(0, 16));
  constexpr std::string_view kKvm = "kvm\n", kTcg = "tcg\n";
  if (const auto text = read_file(remembered, Bytes{1024})) {
    const bool kvm = text->starts_with(kKvm);
    if (kvm || text->starts_with(kTcg))
      return AcceleratorChoice{kvm ? Accelerator::kvm : Accelerator::tcg, text->substr(kKvm.size())};
  }
  auto choice = measure_both(files);
  if (!choice) return choice;
  std::error_code ignored;
  fs::create_directories(*cache, ignored);
  // Where it cannot be remembered (a cache that may only be read) it is measured again the next time.
  (void)write_file(remembered, fmt::format("{}\n{}", to_string(choice->accelerator), choice->why));
  return choice;
}

}  // namespace rookery::backends
