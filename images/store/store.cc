#include "images/store/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/json/fields.h"
#include "base/json/layout.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kRecordSchema = "rookery.stored-image/1";
constexpr std::size_t kImagesLimit = 1000;
constexpr std::size_t kShortestPrefix = 4;

bool is_digest_name(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Of a store that may be read and not written: somebody else's, or on a disk that is mounted so.
bool forbids_writing(int error) {
  return error == EROFS || error == EACCES || error == EPERM;
}

// A lock that all who may read the store can share. None, without an error, where only reading is allowed and
// there is none to be had: then it is for the store's owner not to prune what others use.
Result<UniqueFd> open_lock(const fs::path& folder) {
  const fs::path path = folder / "lock";
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (lock) {
    (void)::fchmod(lock.get(), 0644);  // whatever the umask says, and of stores of before
    return lock;
  }
  if (!forbids_writing(errno)) return fail_errno("cannot open " + path.string());
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace

Store::Incoming::Incoming(const Store& store, WrittenFile file)
    : store_(&store), file_(std::move(file)), hasher_(std::make_unique<Hasher>(Hasher::Kind::sha256)) {}

Status Store::Incoming::write(ByteView bytes) {
  hasher_->add(bytes);
  return file_.write(bytes);
}

Result<Digest256> Store::Incoming::keep(bool executable) {
  const Digest256 digest = hasher_->finish();
  ROOKERY_TRY(file_.keep(store_->object_path(digest), executable ? 0555 : 0444));
  return digest;
}

Result<Store> Store::open() {
  const auto cache = cache_folder();
  if (!cache) return tl::unexpected<Error>(cache.error());
  return open(*cache / "store");
}

Result<Store> Store::open(const fs::path& folder) {
  ROOKERY_TRY(check_owner(folder));
  for (const char* part : {"objects", "images", "incoming"}) {
    std::error_code error;
    fs::create_directories(folder / part, error);
    if (!error) continue;
    std::error_code ignored;
    // Who only reads needs no place for what comes in.
    const bool is_enough = std::string_view(part) == "incoming" ? fs::is_directory(folder / "images", ignored)
                                                                : fs::is_directory(folder / part, ignored);
    if (!forbids_writing(error.value()) || !is_enough)
      return fail("cannot make " + (folder / part).string() + ": " + error.message());
  }
  auto lock = open_lock(folder);
  if (!lock) return tl::unexpected<Error>(lock.error());
  // Waits only while another process prunes.
  if (*lock && ::flock(lock->get(), LOCK_SH) != 0) return fail_errno("cannot lock " + folder.string());
  return Store(folder, std::move(*lock));
}

fs::path Store::object_path(const Digest256& digest) const {
  return folder_ / "objects" / to_hex(digest);
}

Result<Store::Incoming> Store::incoming() const {
  auto file = WrittenFile::make(folder_ / "incoming" / "object");
  if (!file) return tl::unexpected<Error>(file.error());
  return Incoming(*this, std::move(*file));
}

Result<Digest256> Store::add(ByteView bytes) const {
  auto object = incoming();
  if (!object) return tl::unexpected<Error>(object.error());
  ROOKERY_TRY(object->write(bytes));
  return object->keep();
}

Result<Digest256> Store::add_file(const fs::path& file, bool executable) const {
  const UniqueFd from(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!from) return fail_errno("cannot read " + file.string());
  auto object = incoming();
  if (!object) return tl::unexpected<Error>(object.error());
  ByteBuffer block(1 << 20);
  for (;;) {
    const ssize_t got = ::read(from.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("cannot read " + file.string());
    if (got == 0) return object->keep(executable);
    ROOKERY_TRY(object->write(ByteView(block).first(static_cast<std::size_t>(got))));
  }
}

bool Store::has(const Digest256& digest) const {
  return ::access(object_path(digest).c_str(), R_OK) == 0;
}

Result<fs::path> Store::object(const Digest256& digest) const {
  if (!has(digest)) return fail("the store in " + folder_.string() + " has no object " + to_hex(digest));
  return object_path(digest);
}

Status Store::verify_object(const Digest256& digest) const {
  const auto path = object(digest);
  if (!path) return tl::unexpected<Error>(path.error());
  const auto found = sha256_of_file(*path);
  if (!found) return tl::unexpected<Error>(found.error());
  if (*found == digest) return {};
  const bool removed = ::unlink(path->c_str()) == 0;
  return fail("the store's object " + to_hex(digest) + " is damaged" +
              (removed ? " and was removed" : ", and cannot be removed: " + path->string()));
}

Status Store::put(const Manifest& manifest, const Digest256& medium, const Digest256& inputs,
                  std::int64_t system_made) const {
  if (!is_name(manifest.name))
    return fail(ErrorKind::usage, "\"" + manifest.name + "\" cannot name an image");
  const auto digest = add(as_bytes(to_json(manifest)));
  if (!digest) return tl::unexpected<Error>(digest.error());
  Json record = Json::object()
                    .set("schema", kRecordSchema)
                    .set("manifest", to_hex(*digest))
                    .set("medium", to_hex(medium))
                    .set("inputs", to_hex(inputs));
  if (system_made > 0) record.set("system_made", Json::integer(system_made));
  // By way of incoming/, so that what a crash leaves behind is not taken for a name.
  auto file = WrittenFile::make(folder_ / "incoming" / "record");
  if (!file) return tl::unexpected<Error>(file.error());
  // The layout of every store that there is.
  const std::string text = write_json(record, {.in_lines = true, .escape_slashes = true}) + "\n";
  ROOKERY_TRY(file->write(as_bytes(text)));
  return file->keep(folder_ / "images" / manifest.name, 0644);
}

Status Store::remove(std::string_view name) const {
  if (is_name(name) && ::unlink((folder_ / "images" / name).c_str()) == 0) return {};
  if (is_name(name) && errno != ENOENT) return fail_errno("cannot remove the image " + std::string(name));
  return fail(ErrorKind::usage, "there is no image " + std::string(name));
}

Result<StoredImage> Store::read_record(std::string_view name) const {
  const std::string doing = "image " + std::string(name);
  const auto text = read_file(folder_ / "images" / name, Bytes{1 << 16});
  if (!text) return tl::unexpected<Error>(text.error());
  const auto root = parse_json_file(*text);
  if (!root) return fail(doing + ": " + root.error().message);
  FieldReader fields(*root, doing);
  StoredImage image;
  image.name = name;
  if (fields.text("schema", kTextLimit) != kRecordSchema) fields.refuse("schema", "is not known");
  image.manifest = fields.digest("manifest");
  image.medium = fields.digest("medium");
  image.inputs = fields.digest("inputs");
  if (fields.has("system_made")) image.system_made = fields.integer("system_made", 1, INT64_MAX);
  ROOKERY_TRY(fields.finish());
  return image;
}

Result<std::vector<StoredImage>> Store::list() const {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder_ / "images", error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_name(entry->path().filename().string())) names.insert(entry->path().filename());
    if (names.size() > kImagesLimit)
      return fail("the store has more than " + std::to_string(kImagesLimit) + " images");
  }
  if (error) return fail("cannot list " + (folder_ / "images").string() + ": " + error.message());
  std::vector<StoredImage> images;
  for (const std::string& name : names) {
    auto image = read_record(name);
    if (!image) return tl::unexpected<Error>(image.error());
    images.push_back(std::move(*image));
  }
  return images;
}

Result<StoredImage> Store::find(std::string_view name_or_digest) const {
  const auto images = list();
  if (!images) return tl::unexpected<Error>(images.error());
  const StoredImage* found = nullptr;
  for (const StoredImage& image : *images) {
    if (image.name == name_or_digest) return image;
    if (name_or_digest.size() < kShortestPrefix || !to_hex(image.manifest).starts_with(name_or_digest))
      continue;
    if (found != nullptr && found->manifest != image.manifest) {
      return fail(ErrorKind::usage, std::string(name_or_digest) + " begins the digests of several images");
    }
    found = &image;
  }
  if (found != nullptr) return *found;
  std::string known;
  for (const StoredImage& image : *images) known += (known.empty() ? "" : ", ") + image.name;
  return fail(ErrorKind::usage, "there is no image " + std::string(name_or_digest) + "; the store has " +
                                    (known.empty() ? "none: build one with \"rookery image build\"" : known));
}

Result<Manifest> Store::manifest(const StoredImage& image) const {
  const auto path = object(image.manifest);
  if (!path) return tl::unexpected<Error>(path.error());
  const auto text = read_file(*path, kManifestLimit);
  if (!text) return tl::unexpected<Error>(text.error());
  if (sha256(as_bytes(*text)) != image.manifest)
    return fail("image " + image.name + ": its manifest is damaged");
  return parse_manifest(*text);
}

Status Store::verify(const StoredImage& image) const {
  const auto held = manifest(image);
  if (!held) return tl::unexpected<Error>(held.error());
  const auto check = [&](std::string_view what, const Digest256& digest) -> Status {
    if (auto status = verify_object(digest); !status) {
      return tl::unexpected<Error>(
          Error(status.error()).while_doing("image " + image.name + ": " + std::string(what)));
    }
    return {};
  };
  ROOKERY_TRY(check("medium", image.medium));
  for (const Component& component : held->components) {
    if (has(component.sha256)) ROOKERY_TRY(check(component.name, component.sha256));
  }
  return {};
}

Result<Store::Pruned> Store::prune(std::size_t most) const {
  if (::faccessat(AT_FDCWD, (folder_ / "objects").c_str(), W_OK, AT_EACCESS) != 0)
    return fail_errno("nothing can be removed from the store in " + folder_.string());
  // Who asks for another lock has none until it is granted (flock(2)), and so none if it is refused.
  const bool alone = ::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0;
  auto pruned = alone ? prune_locked(most)
                      : fail(ErrorKind::expectation,
                             "the store is in use: take the running labs and builds down first");
  if (::flock(lock_.get(), LOCK_SH) != 0) return fail_errno("cannot lock " + folder_.string());
  return pruned;
}

Result<Store::Pruned> Store::prune_locked(std::size_t most) const {
  const auto images = list();
  if (!images) return tl::unexpected<Error>(images.error());
  std::set<std::string> wanted;
  for (const StoredImage& image : *images) {
    wanted.insert(to_hex(image.manifest));
    wanted.insert(to_hex(image.medium));
    // Without its manifest nobody knows what an image needs, so nothing is removed then.
    const auto held = manifest(image);
    if (!held) return tl::unexpected<Error>(held.error());
    for (const Component& component : held->components) wanted.insert(to_hex(component.sha256));
  }
  Pruned pruned;
  for (const char* part : {"incoming", "objects"}) {
    std::error_code error;
    for (fs::directory_iterator entry(folder_ / part, error), end; !error && entry != end;
         entry.increment(error)) {
      const std::string name = entry->path().filename();
      if (std::string_view(part) == "objects" && (!is_digest_name(name) || wanted.contains(name))) continue;
      if (pruned.objects == most) {
        pruned.more = true;
        return pruned;
      }
      std::error_code ignored;
      const auto size = fs::file_size(entry->path(), ignored);
      if (::unlink(entry->path().c_str()) != 0) return fail_errno("cannot remove " + entry->path().string());
      ++pruned.objects;
      if (!ignored) pruned.freed.count += size;
    }
    if (error) return fail("cannot list " + (folder_ / part).string() + ": " + error.message());
  }
  return pruned;
}

}  // namespace rookery::images
