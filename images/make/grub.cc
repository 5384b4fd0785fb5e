#include "images/make/grub.h"

#include "base/file.h"
#include "images/medium/medium.h"
#include "images/store/manifest.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

constexpr const char* kForBios = "/usr/lib/grub/i386-pc";
constexpr const char* kForUefi = "/usr/lib/grub/x86_64-efi";
constexpr const char* kFirstWords = "first.cfg";
constexpr const char* kUefiProgram = "BOOTX64.EFI";  // UEFI 2.10 §3.5.1.1: what a removable medium boots
constexpr std::uint64_t kFloppy = 1440u << 10;       // a size that every FAT driver knows

// GRUB starts in a disk's boot sector or in the UEFI file system; the medium around either has the menu.
std::string first_words() {
  return "search --no-floppy --set=root --label " + std::string(kMediumVolume) +
         "\nset prefix=($root)/boot/grub\n";
}

std::vector<std::string> grub_image(const char* format, const char* output,
                                    std::vector<std::string> drivers) {
  std::vector<std::string> argv{"grub-mkimage", "-O",         format, "-c",  kFirstWords,
                                "-p",           "/boot/grub", "-o",   output};
  argv.insert(argv.end(), drivers.begin(), drivers.end());
  // What the first words and images::boot_menu() say.
  for (const char* part : {"iso9660", "part_msdos", "part_gpt", "normal", "search", "search_label", "echo",
                           "test", "hashsum", "gcry_sha256", "linux", "boot", "sleep", "halt"})
    argv.emplace_back(part);
  return argv;
}

}  // namespace

std::vector<Command> boot_loader_commands(const fs::path& folder, std::int64_t date) {
  const std::string uefi(kGrubUefi);
  // mtools: -N is the volume's number, otherwise drawn by chance; the dates follow SOURCE_DATE_EPOCH.
  std::vector<Command> commands{
      {grub_image("i386-pc-eltorito", std::string(kGrubBios).c_str(), {"biosdisk"}), folder},
      {grub_image("x86_64-efi", kUefiProgram, {"fat", "efi_gop"}), folder},
      {{"mformat", "-i", uefi, "-f", "1440", "-N", "52525259", "::"}, folder},
      {{"mmd", "-i", uefi, "::/EFI", "::/EFI/BOOT"}, folder},
      {{"mcopy", "-i", uefi, kUefiProgram, "::/EFI/BOOT/"}, folder}};
  for (Command& command : commands) {
    command.environment["SOURCE_DATE_EPOCH"] = std::to_string(date);
    command.environment["TZ"] = "UTC";
    command.environment["MTOOLS_SKIP_CHECK"] = "1";
  }
  return commands;
}

Result<Digest256> grub_digest() {
  Hasher both(Hasher::Kind::sha256);
  for (const auto& [folder, package] :
       {std::pair{kForBios, "grub-pc-bin"}, {kForUefi, "grub-efi-amd64-bin"}}) {
    const auto kernel = sha256_of_file(fs::path(folder) / "kernel.img");
    if (!kernel) return fail(std::string("there is no GRUB in ") + folder + "; install: " + package);
    both.add(*kernel);
  }
  return both.finish();
}

Status make_boot_loader(const fs::path& folder, std::int64_t date) {
  for (const auto& [tool, package] : {std::pair{"grub-mkimage", "grub-common"}, {"mformat", "mtools"}}) {
    if (auto found = find_program(tool, package); !found) return tl::unexpected<Error>(found.error());
  }
  const auto sector = read_file(fs::path(kForBios) / "boot_hybrid.img", Bytes{512});
  if (!sector) return tl::unexpected<Error>(sector.error());
  ROOKERY_TRY(write_file(folder / std::string(kGrubMbr), *sector));
  ROOKERY_TRY(write_file(folder / kFirstWords, first_words()));
  const fs::path uefi = folder / std::string(kGrubUefi);
  ROOKERY_TRY(write_file(uefi, ""));
  std::error_code error;
  fs::resize_file(uefi, kFloppy, error);
  if (error) return fail("cannot make " + uefi.string() + ": " + error.message());
  for (const Command& command : boot_loader_commands(folder, date)) {
    if (auto done = run_checked(command); !done)
      return tl::unexpected<Error>(Error(done.error()).while_doing("making the medium's boot loader"));
  }
  return {};
}

}  // namespace rookery::images
