#include "images/make/layer.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/digest.h"
#include "guest/storage/shared_lists.h"
#include "images/make/archive_writer.h"
#include "images/make/root_tree.h"
#include "images/make/tar_reader.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

struct Entry {
  std::string looks;  // all but its date: two that are equal need not be in a layer
  std::string hard_link;
};

struct System {
  std::map<std::string, Entry, std::less<>> entries;      // by path
  std::map<std::string, std::string, std::less<>> lists;  // the shared ones, by path
};

// In no layer: lists that are put together by stage two, their locks and old versions; the loader's cache,
// without which it finds what lies in Debian's own places; and what the builder set for adduser and its like.
bool is_shared(std::string_view path) {
  for (std::string_view dropped :
       {"etc/.pwd.lock", "etc/adduser.conf", "etc/ld.so.cache", "etc/login.defs"}) {
    if (path == dropped) return true;
  }
  return std::any_of(shared_lists().begin(), shared_lists().end(), [&](const SharedList& list) {
    return path == list.path || (path.ends_with('-') && path.substr(0, path.size() - 1) == list.path);
  });
}

Result<System> read_system(const fs::path& tar) {
  System system;
  const auto status =
      for_each_entry(tar, [&](archive* reader, archive_entry* entry, const std::string& path) -> Status {
        if (!belongs_in_image(path, archive_entry_filetype(entry) == AE_IFDIR)) return {};
        if (is_shared(path)) {
          auto text = read_text(reader, kSharedListLimit);
          if (!text) return tl::unexpected<Error>(text.error());
          system.lists.emplace(path, std::move(*text));
          return {};
        }
        Entry found;
        if (const char* link = archive_entry_hardlink(entry); link != nullptr) {
          found.hard_link = fs::path(link).lexically_normal().string();
          found.looks = system.entries[found.hard_link].looks;  // which came before it
        } else {
          const char* symlink = archive_entry_symlink(entry);
          Hasher content(Hasher::Kind::sha256);
          ROOKERY_TRY(read_blocks(reader, [&](ByteView bytes) -> Status {
            content.add(bytes);
            return {};
          }));
          for (const std::string& part :
               {std::to_string(archive_entry_mode(entry)), std::to_string(archive_entry_uid(entry)),
                std::to_string(archive_entry_gid(entry)), std::string(symlink != nullptr ? symlink : ""),
                to_hex(content.finish())}) {
            found.looks += part + "\n";
          }
        }
        system.entries.insert_or_assign(path, std::move(found));
        return {};
      });
  if (!status) return tl::unexpected<Error>(status.error());
  return system;
}

// With the folders that they lie in, which an overlay shows as its uppermost layer has them.
void add_with_folders(std::set<std::string>& paths, const std::string& path) {
  for (std::size_t slash = 0; (slash = path.find('/', slash)) != std::string::npos; ++slash)
    paths.insert(path.substr(0, slash));
  paths.insert(path);
}

std::set<std::string> difference(const System& base, const System& extended,
                                 const std::set<std::string>& ours) {
  std::set<std::string> changed;
  for (const auto& [path, entry] : extended.entries) {
    if (ours.contains(path)) continue;
    const auto before = base.entries.find(path);
    if (before != base.entries.end() && before->second.looks == entry.looks) continue;
    add_with_folders(changed, path);
    // What a hard link leads to must be in the same layer.
    if (!entry.hard_link.empty()) add_with_folders(changed, entry.hard_link);
  }
  return changed;
}

Status copy_changed(const fs::path& tar, const System& extended, const std::set<std::string>& changed,
                    ArchiveWriter& to) {
  return for_each_entry(tar, [&](archive* reader, archive_entry* entry, const std::string& path) -> Status {
    if (!changed.contains(path)) return {};
    archive_entry_set_pathname(entry, path.c_str());
    if (archive_entry_hardlink(entry) != nullptr)
      archive_entry_set_hardlink(entry, extended.entries.at(path).hard_link.c_str());
    ROOKERY_TRY(to.begin(entry));
    return read_blocks(reader, [&](ByteView bytes) { return to.write(bytes); });
  });
}

Status add_whiteouts(const System& base, const System& extended, const std::set<std::string>& ours,
                     ArchiveWriter& to) {
  for (const auto& [path, entry] : base.entries) {
    if (extended.entries.contains(path) || ours.contains(path)) continue;
    const std::string folder = fs::path(path).parent_path().string();
    // Of what has gone with its folder, the folder's whiteout is enough.
    if (folder.empty() || extended.entries.contains(folder))
      ROOKERY_TRY(to.add_device(path, 0, 0, 0));  // Documentation/filesystems/overlayfs.rst, "whiteouts"
  }
  return {};
}

Status add_records(std::string_view name, const System& base, const System& extended, ArchiveWriter& to) {
  for (const SharedList& list : shared_lists()) {
    const auto before = base.lists.find(list.path), after = extended.lists.find(list.path);
    if (after == extended.lists.end()) continue;
    const std::string_view known = before == base.lists.end() ? "" : std::string_view(before->second);
    if (list.kind == SharedList::Kind::paragraphs && lacks_records(list.kind, known, after->second))
      return fail("the packages of " + std::string(name) + " would remove some of the system's");
    const std::string added = added_records(list.kind, known, after->second);
    if (added.empty()) continue;
    const std::string path =
        std::string(kAddedRecords) + "/" + std::string(name) + "/" + std::string(list.path);
    ROOKERY_TRY(to.add({path, 0600, added}));
  }
  return {};
}

}  // namespace

Status make_layer_tree(std::string_view name, const fs::path& base_tar, const fs::path& extended_tar,
                       const std::vector<ImageFile>& ours, std::int64_t date, const fs::path& destination) {
  const auto base = read_system(base_tar);
  if (!base) return tl::unexpected<Error>(base.error());
  const auto extended = read_system(extended_tar);
  if (!extended) return tl::unexpected<Error>(extended.error());
  std::set<std::string> own;
  for (const ImageFile& file : ours) {
    const auto place = place_in_root(file.path);
    if (!place) return tl::unexpected<Error>(place.error());
    own.insert(*place);
  }
  auto tar = ArchiveWriter::create(destination, ArchiveWriter::Format::tar, date);
  if (!tar) return tl::unexpected<Error>(tar.error());
  ROOKERY_TRY(copy_changed(extended_tar, *extended, difference(*base, *extended, own), *tar));
  ROOKERY_TRY(add_whiteouts(*base, *extended, own, *tar));
  ROOKERY_TRY(add_records(name, *base, *extended, *tar));
  return tar->finish();
}

}  // namespace rookery::images
