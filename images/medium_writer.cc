#include "base/command.h"
#include "base/file.h"
#include "images/medium.h"

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

}  // namespace

std::vector<std::string> medium_command(const Manifest& manifest,
                                        const std::map<std::string, fs::path>& files,
                                        const fs::path& manifest_file, const fs::path& digest_file,
                                        const fs::path& destination) {
  std::vector<std::string> argv = {"xorriso", "-no_rc", "-as", "mkisofs", "-quiet",
                                   "-r",               // Rock Ridge: long names, owner root, readable by all
                                   "-iso-level", "3",  // files of 4 GiB and more
                                   "-f",               // the files, not symbolic links to them
                                   "-volid", std::string(kMediumVolume), "-no-pad",
                                   // The manifest first: whoever opens a medium wants it.
                                   "--sort-weight", "2", "/" + std::string(kMediumManifest), "--sort-weight",
                                   "1", "/" + std::string(kMediumManifestDigest), "--set_all_file_dates",
                                   "=" + std::to_string(manifest.created), "-o", destination.string(),
                                   "-graft-points"};
  argv.push_back(graft("/" + std::string(kMediumManifest), manifest_file));
  argv.push_back(graft("/" + std::string(kMediumManifestDigest), digest_file));
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
  const fs::path manifest_file = folder->path() / "manifest.json",
                 digest_file = folder->path() / "manifest.sha256";
  const fs::path medium = folder->path() / "medium.iso";
  ROOKERY_TRY(write_file(manifest_file, to_json(manifest)));
  ROOKERY_TRY(write_file(digest_file, to_hex(digest_of(manifest)) + "  manifest.json\n"));
  Command command{medium_command(manifest, files, manifest_file, digest_file, medium), {}};
  // The dates and the identifier of the volume itself.
  command.environment["SOURCE_DATE_EPOCH"] = std::to_string(manifest.created);
  command.environment["TZ"] = "UTC";
  if (auto done = run_checked(command); !done) {
    return tl::unexpected<Error>(
        Error(done.error()).while_doing("writing the medium (Debian package xorriso)"));
  }
  std::error_code error;
  fs::rename(medium, destination, error);
  if (error) return fail("cannot rename to " + destination.string() + ": " + error.message());
  return {};
}

}  // namespace rookery::images
