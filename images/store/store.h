// The images of this user: objects named by their SHA-256, and names that point to them. Everything is
// written beside its place and renamed, so that a crash leaves the old state or the new one. A Store holds a
// shared lock for its lifetime, so that nothing that it gave out is pruned away; keep it as long as its paths
// are in use.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/file.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "base/units.h"
#include "images/store/manifest.h"
#include "images/store/written_file.h"

namespace rookery::images {

// What a name points to.
struct StoredImage {
  std::string name;
  Digest256 manifest{};
  Digest256 medium{};
  Digest256 inputs{};  // of all that it was built from: the same inputs need no second build
  std::int64_t system_made =
      0;  // when its packages were downloaded, in seconds since 1970; 0: it is not known
};

class Store {
 public:
  // An object on its way in: write() it, then keep() it. Dropped unless kept.
  class Incoming {
   public:
    Status write(ByteView bytes);
    Result<Digest256> keep(bool executable = false);

   private:
    friend class Store;
    Incoming(const Store& store, WrittenFile file);
    const Store* store_;  // outlives it
    WrittenFile file_;
    std::unique_ptr<Hasher> hasher_;
  };

  // The store in `folder`, made if it is not there; the user's own, unless one is named. One that is
  // somebody else's is an Error (check_owner()). One that may only be read (root's, a disk that is mounted
  // so) is opened for that, and nothing is written to it.
  static Result<Store> open();
  static Result<Store> open(const std::filesystem::path& folder);

  Result<Incoming> incoming() const;
  Result<Digest256> add(ByteView bytes) const;
  Result<Digest256> add_file(const std::filesystem::path& file, bool executable = false) const;
  bool has(const Digest256& digest) const;
  // The file of an object that is there. Its content is not read: verify_object() does.
  Result<std::filesystem::path> object(const Digest256& digest) const;
  // Reads the object; a damaged one is removed and reported.
  Status verify_object(const Digest256& digest) const;

  // Adds the manifest and lets its name point to it; the medium and the rest of a StoredImage come along.
  Status put(const Manifest& manifest, const Digest256& medium, const Digest256& inputs,
             std::int64_t system_made = 0) const;
  Status remove(std::string_view name) const;
  Result<std::vector<StoredImage>> list() const;  // by name
  // By name, or by the first digits (at least four) of the manifest's digest.
  Result<StoredImage> find(std::string_view name_or_digest) const;
  Result<Manifest> manifest(const StoredImage& image) const;
  // Manifest, medium, and those components that lie here by themselves.
  Status verify(const StoredImage& image) const;

  struct Pruned {
    std::size_t objects = 0;
    Bytes freed;
    bool more = false;  // the limit was reached first
  };
  // Removes objects that no image refers to, at most `most`. An error while another Store is open on the
  // folder.
  Result<Pruned> prune(std::size_t most = 10000) const;

 private:
  Store(std::filesystem::path folder, UniqueFd lock) : folder_(std::move(folder)), lock_(std::move(lock)) {}
  std::filesystem::path object_path(const Digest256& digest) const;
  Result<StoredImage> read_record(std::string_view name) const;
  Result<Pruned> prune_locked(std::size_t most) const;

  std::filesystem::path folder_;
  UniqueFd lock_;
};

}  // namespace rookery::images
