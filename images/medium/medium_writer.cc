#include "base/command.h"
#include "base/file.h"
#include "guest/protocol/medium_layout.h"
#include "images/medium/boot_loader.h"
#include "images/medium/medium.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

// A graft point is "place on the medium=file"; xorriso takes backslash and equals sign by a backslash.
std::string graft(std::string_view place, const fs::path& file) {
  std::string text(place);
  text += '=';
  for (char c : file.string()) {
    if (c == '=' || c == '\\') text += '\\';
    text += c;
  }
  return text;
}

// What xorriso writes of itself, and of which nothing is in the manifest: it lies in `folder`.
constexpr const char* kBootCatalog = "boot/boot.cat";
// A copy: xorriso writes into it where it lies, so that GRUB finds the rest of itself.
constexpr const char* kBiosCopy = "boot/grub-bios";

// For a disk GRUB's first sector and, as a partition, the UEFI file system; for a CD (El Torito) both
// programs.
void add_boot_loader(std::vector<std::string>& argv, const fs::path& first_sector) {
  argv.insert(argv.end(), {"--grub2-mbr", first_sector.string(), "-c", std::string("/") + kBootCatalog});
  argv.insert(argv.end(), {"-b", std::string("/") + kBiosCopy, "-no-emul-boot", "-boot-load-size", "4",
                           "-boot-info-table", "--grub2-boot-info"});
  argv.insert(argv.end(), {"-eltorito-alt-boot", "-e", "/rookery/" + std::string(kGrubUefi), "-no-emul-boot",
                           "-efi-boot-part", "--efi-boot-image"});
}

}  // namespace

std::vector<std::string> medium_command(const Manifest& manifest,
                                        const std::map<std::string, fs::path>& files, const fs::path& folder,
                                        const fs::path& destination) {
  const std::string first = "/" + std::string(kMediumManifest),
                    second = "/" + std::string(kMediumManifestDigest);
  std::vector<std::string> argv = {"xorriso", "-no_rc", "-as", "mkisofs", "-quiet",
                                   "-r",               // Rock Ridge: long names, owner root, readable by all
                                   "-iso-level", "3",  // files of 4 GiB and more
                                   "-f",               // the files, not symbolic links to them
                                   "-volid", std::string(kMediumVolume), "-no-pad",
                                   // The manifest first: whoever opens a medium wants it.
                                   "--sort-weight", "2", first, "--sort-weight", "1", second,
                                   "--set_all_file_dates", "=" + std::to_string(manifest.created), "-o",
                                   destination.string()};
  if (boots_by_itself(manifest)) add_boot_loader(argv, files.at(std::string(kGrubMbr)));
  argv.emplace_back("-graft-points");
  argv.push_back(graft("/", folder));
  for (const Component& component : manifest.components) {
    argv.push_back(graft("/" + component.file, files.at(component.name)));
  }
  return argv;
}

Status write_medium(const Manifest& manifest, const std::map<std::string, fs::path>& files,
                    const fs::path& destination) {
  if (auto xorriso = find_program("xorriso", "xorriso"); !xorriso)
    return tl::unexpected<Error>(xorriso.error());
  for (const Component& component : manifest.components) {
    if (!files.contains(component.name)) return fail("no file was given for " + component.name);
  }
  auto folder = TemporaryFolder::make(fs::absolute(destination).parent_path(), ".medium-");
  if (!folder) return tl::unexpected<Error>(folder.error());
  const fs::path own = folder->path() / "own", medium = folder->path() / "medium.iso";
  std::error_code error;
  fs::create_directories(own / "rookery", error);
  ROOKERY_TRY(write_file(own / std::string(kMediumManifest), to_json(manifest)));
  ROOKERY_TRY(write_file(own / std::string(kMediumManifestDigest),
                         to_hex(digest_of(manifest)) + "  manifest.json\n"));
  if (const Component* root = manifest.find(kRootSquashfs)) {
    ROOKERY_TRY(write_file(own / std::string(kMediumRootDigest),
                           to_hex(root->sha256) + "  " + std::string(kRootSquashfs) + "\n"));
  }
  if (boots_by_itself(manifest)) {
    fs::create_directories(own / fs::path(kBootMenu).parent_path(), error);
    ROOKERY_TRY(write_file(own / std::string(kBootMenu), boot_menu(manifest)));
    ROOKERY_TRY(write_file(own / std::string(kBootDigests), boot_digests(manifest)));
    fs::copy_file(files.at(std::string(kGrubBios)), own / kBiosCopy, error);
    if (error) return fail("cannot copy " + std::string(kGrubBios) + ": " + error.message());
  }
  Command command{medium_command(manifest, files, own, medium), {}};
  // The dates and the identifier of the volume itself.
  command.environment["SOURCE_DATE_EPOCH"] = std::to_string(manifest.created);
  command.environment["TZ"] = "UTC";
  if (auto done = run_checked(command); !done) {
    return tl::unexpected<Error>(
        Error(done.error()).while_doing("writing the medium (Debian package xorriso)"));
  }
  fs::rename(medium, destination, error);
  if (error) return fail("cannot rename to " + destination.string() + ": " + error.message());
  return {};
}

}  // namespace rookery::images
