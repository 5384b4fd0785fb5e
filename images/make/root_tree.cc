#include "images/make/root_tree.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "base/file.h"
#include "images/make/archive_writer.h"
#include "images/make/module_set.h"
#include "images/make/tar_reader.h"
#include "images/store/manifest.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kTextFileLimit = 64u << 20;
constexpr std::string_view kModules = "usr/lib/modules/";

// What has to be known before the tree can be written.
struct Facts {
  std::string kernel_version, kernel_package;
  std::int64_t date = 0;
  std::string unpacked;  // "package version" lines
  std::string modules_dep, modules_builtin, modules_alias, dpkg_status;
};

Result<Facts> learn_facts(const fs::path& system_tar) {
  Facts facts;
  std::string note;
  const auto status =
      for_each_entry(system_tar, [&](archive* reader, archive_entry*, const std::string& path) {
        std::string* wanted = nullptr;
        if (path == kKernelNote) wanted = &note;
        if (path == kUnpackedNote) wanted = &facts.unpacked;
        if (path == "var/lib/dpkg/status") wanted = &facts.dpkg_status;
        if (path.starts_with(kModules) && std::count(path.begin(), path.end(), '/') == 4) {
          const std::string file = path.substr(path.rfind('/') + 1);
          if (file == "modules.dep") wanted = &facts.modules_dep;
          if (file == "modules.builtin") wanted = &facts.modules_builtin;
          if (file == "modules.alias") wanted = &facts.modules_alias;
          if (wanted != nullptr)
            facts.kernel_version = path.substr(kModules.size(), path.rfind('/') - kModules.size());
        }
        if (wanted == nullptr) return Status{};
        auto text = read_text(reader, kTextFileLimit);
        if (!text) return Status(tl::unexpected<Error>(text.error()));
        *wanted = std::move(*text);
        return Status{};
      });
  ROOKERY_TRY(status);
  std::string package, version;
  std::istringstream(note) >> package >> version >> facts.date;
  facts.kernel_package = package + " " + version + "\n";
  if (facts.date <= 0 || facts.modules_dep.empty() || facts.dpkg_status.empty()) {
    return fail(system_tar.string() +
                " lacks its kernel, modules.dep or dpkg's status file; remove it and build again");
  }
  return facts;
}

// A file of the folder that is written as it comes by.
Status copy_out(archive* reader, const fs::path& destination, unsigned mode) {
  std::ofstream file(destination, std::ios::binary | std::ios::trunc);
  ROOKERY_TRY(read_blocks(reader, [&](ByteView bytes) -> Status {
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return {};
  }));
  file.close();
  if (!file) return fail("cannot write " + destination.string());
  fs::permissions(destination, static_cast<fs::perms>(mode));
  return {};
}

using Contents = std::map<std::string, std::string>;  // by path

// With the modules goes the busybox that loads them: machines that have no modules to load fetch neither. The
// dependencies are those of all modules, also of the ones that only some machines fetch (write_san).
Status write_modules(const Facts& facts, const std::vector<std::string>& early,
                     const std::vector<std::string>& all, const Contents& contents,
                     const std::string& busybox, const fs::path& destination) {
  auto writer = ArchiveWriter::create(destination, ArchiveWriter::Format::packed_initramfs, facts.date);
  if (!writer) return tl::unexpected<Error>(writer.error());
  const std::string folder = "lib/modules/" + facts.kernel_version + "/";
  std::string dep;
  for (const std::string& line : all) dep += line + "\n";
  for (const std::string& line : early) {
    const std::string file(module_file(line));
    ROOKERY_TRY(writer->add({folder + file, 0644, contents.at(file)}));
  }
  ROOKERY_TRY(writer->add({folder + "modules.dep", 0644, dep}));
  ROOKERY_TRY(writer->add({folder + "modules.alias", 0644, aliases_of(facts.modules_alias, early)}));
  ROOKERY_TRY(writer->add({folder + "modules.builtin", 0644, facts.modules_builtin}));
  ROOKERY_TRY(writer->add({"bin/busybox", 0755, busybox}));
  return writer->finish();
}

// For machines whose root is not an NBD share: the modules that this takes, and the iSCSI initiator.
Status write_san(const Facts& facts, const std::vector<std::string>& early,
                 const std::vector<std::string>& all, const Contents& contents, const Contents& initiator,
                 const fs::path& destination) {
  auto writer = ArchiveWriter::create(destination, ArchiveWriter::Format::packed_initramfs, facts.date);
  if (!writer) return tl::unexpected<Error>(writer.error());
  for (const std::string& line : all) {
    if (std::find(early.begin(), early.end(), line) != early.end()) continue;
    const std::string file(module_file(line));
    ROOKERY_TRY(writer->add({"lib/modules/" + facts.kernel_version + "/" + file, 0644, contents.at(file)}));
  }
  for (const auto& [path, content] : initiator) ROOKERY_TRY(writer->add({path, 0755, content}));
  return writer->finish();
}

}  // namespace

bool belongs_in_image(std::string_view path, bool is_folder) {
  static constexpr std::string_view kDropped[] = {"etc/hostname",
                                                  "etc/resolv.conf",
                                                  "etc/machine-id",
                                                  "etc/mtab",
                                                  "etc/apt/sources.list",
                                                  "var/lib/dbus/machine-id",
                                                  "var/lib/dpkg/lock",
                                                  "var/lib/dpkg/lock-frontend",
                                                  kKernelNote,
                                                  kUnpackedNote};
  // Of these the folders stay, and what is in the folders.
  static constexpr std::string_view kEmptied[] = {"boot/",
                                                  "dev/",
                                                  "proc/",
                                                  "run/",
                                                  "sys/",
                                                  "tmp/",
                                                  "var/cache/",
                                                  "var/log/",
                                                  "var/tmp/",
                                                  "var/lib/apt/lists/",
                                                  "etc/apt/sources.list.d/"};
  for (std::string_view dropped : kDropped) {
    if (path == dropped) return false;
  }
  if (path.starts_with(kSanFolder)) return false;
  for (std::string_view folder : kEmptied) {
    // Programs expect their folders in /var to be there; the others are mounted over.
    if (path.starts_with(folder)) return is_folder && folder.starts_with("var/") && folder != "var/tmp/";
  }
  // What Python has compiled is not the same each time, and Python does without.
  if (path.find("/__pycache__") != std::string_view::npos) return false;
  // A host key is a machine's own; /usr/lib/rookery/secure makes it.
  if (path.starts_with("etc/ssh/ssh_host_")) return false;
  return !(path.starts_with("var/lib/dpkg/") && path.ends_with("-old"));
}

Result<std::string> place_in_root(std::string_view path) {
  std::string place = fs::path(path).lexically_normal().string();
  if (place.empty() || place == "." || place.starts_with('/') || place.starts_with("..") ||
      place.ends_with('/')) {
    return fail(ErrorKind::usage, "\"" + std::string(path) + "\" is no place for a file in the image");
  }
  for (std::string_view merged : {"bin/", "sbin/", "lib/", "lib64/"}) {
    if (place.starts_with(merged)) return "usr/" + place;
  }
  return place;
}

Digest256 packages_digest(std::string_view dpkg_status, std::string_view extra) {
  std::set<std::string> lines;
  std::string package, version, line;
  bool installed = false;
  std::istringstream status{std::string(dpkg_status) + "\n\n"};
  while (std::getline(status, line)) {
    if (line.starts_with("Package: ")) package = line.substr(9);
    if (line.starts_with("Version: ")) version = line.substr(9);
    if (line.starts_with("Status: ")) installed = line.ends_with(" installed");
    if (!line.empty()) continue;
    if (installed && !package.empty()) lines.insert(package + " " + version + "\n");
    package.clear();
    installed = false;
  }
  std::istringstream more{std::string(extra)};
  while (std::getline(more, line)) lines.insert(line + "\n");
  Hasher hasher(Hasher::Kind::sha256);
  for (const std::string& each : lines) hasher.add(as_bytes(each));
  return hasher.finish();
}

Result<std::vector<ImageFile>> files_below(const fs::path& folder) {
  std::vector<ImageFile> files;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string path = fs::relative(entry->path(), folder).string();
    if (entry->is_symlink()) {
      files.push_back({path, S_IFLNK | 0777, fs::read_symlink(entry->path()).string()});
    } else if (entry->is_regular_file()) {
      auto content = read_file(entry->path());
      if (!content) return tl::unexpected<Error>(content.error());
      const bool program = (entry->status().permissions() & fs::perms::owner_exec) != fs::perms::none;
      files.push_back({path, program ? 0755u : 0644u, std::move(*content)});
    }
  }
  if (error) return fail("cannot list " + folder.string() + ": " + error.message());
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

Result<RootTree> make_root_tree(const fs::path& system_tar, const std::vector<ImageFile>& files,
                                const fs::path& folder) {
  std::map<std::string, ImageFile> ours;  // a later one replaces an earlier one
  for (ImageFile file : files) {
    auto place = place_in_root(file.path);
    if (!place) return tl::unexpected<Error>(place.error());
    file.path = *place;
    ours[file.path] = std::move(file);
  }
  const auto facts = learn_facts(system_tar);
  if (!facts) return tl::unexpected<Error>(facts.error());
  const auto early = module_closure(facts->modules_dep, facts->modules_builtin, early_module_names());
  if (!early) return tl::unexpected<Error>(early.error());
  std::vector<std::string> names = early_module_names();
  names.insert(names.end(), san_module_names().begin(), san_module_names().end());
  const auto all = module_closure(facts->modules_dep, facts->modules_builtin, names);
  if (!all) return tl::unexpected<Error>(all.error());
  Contents modules;  // by path below the version's folder
  for (const std::string& line : *all) modules[std::string(module_file(line))];
  Contents initiator;

  auto tar = ArchiveWriter::create(folder / kRootTarFile, ArchiveWriter::Format::tar, facts->date);
  if (!tar) return tl::unexpected<Error>(tar.error());
  const std::string module_folder = std::string(kModules) + facts->kernel_version + "/";
  const auto take = [&](archive* reader, archive_entry* entry, const std::string& path) -> Status {
    if (path.starts_with("boot/vmlinuz-")) return copy_out(reader, folder / std::string(kVmlinuz), 0644);
    if (path.starts_with(kSanFolder) && archive_entry_filetype(entry) == AE_IFREG) {
      auto content = read_text(reader, kTextFileLimit);
      if (!content) return tl::unexpected<Error>(content.error());
      initiator[path.substr(std::string_view(kSanFolder).size() + 1)] = std::move(*content);
      return {};
    }
    if (!belongs_in_image(path, archive_entry_filetype(entry) == AE_IFDIR) || ours.contains(path)) return {};
    archive_entry_set_pathname(entry, path.c_str());
    ROOKERY_TRY(tar->begin(entry));
    // Early modules and the static busybox are wanted outside as well.
    const bool is_busybox = path == "usr/bin/busybox";
    std::string busybox;
    std::string* copy = is_busybox ? &busybox : nullptr;
    if (path.starts_with(module_folder)) {
      const auto module = modules.find(path.substr(module_folder.size()));
      if (module != modules.end()) copy = &module->second;
    }
    ROOKERY_TRY(read_blocks(reader, [&](ByteView bytes) {
      if (copy != nullptr) *copy += as_text(bytes);
      return tar->write(bytes);
    }));
    return is_busybox ? write_file(folder / kBusyboxFile, busybox, 0755) : Status{};
  };
  ROOKERY_TRY(for_each_entry(system_tar, take));
  for (const auto& [path, file] : ours) ROOKERY_TRY(tar->add(file));
  ROOKERY_TRY(tar->finish());
  for (std::string_view part : {kVmlinuz, std::string_view(kBusyboxFile)}) {
    if (!fs::exists(folder / part)) return fail(system_tar.string() + " has no " + std::string(part));
  }
  const auto busybox = read_file(folder / kBusyboxFile);
  if (!busybox) return tl::unexpected<Error>(busybox.error());
  ROOKERY_TRY(write_modules(*facts, *early, *all, modules, *busybox, folder / std::string(kModulesCpio)));
  ROOKERY_TRY(write_san(*facts, *early, *all, modules, initiator, folder / std::string(kSanCpio)));
  return RootTree{facts->kernel_version,
                  packages_digest(facts->dpkg_status, facts->kernel_package + facts->unpacked), facts->date};
}

}  // namespace rookery::images
