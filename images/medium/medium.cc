#include "images/medium/medium.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "guest/protocol/medium_layout.h"
#include "images/medium/medium_reader.h"
#include "images/store/written_file.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

constexpr Bytes kDigestLineLimit{256};

Result<Manifest> read_manifest(MediumReader& reader) {
  std::optional<std::string> manifest, digest_line;
  while (!manifest || !digest_line) {
    const auto entry = reader.next();
    if (!entry) return fail("is damaged or not a medium: " + entry.error().message);
    if (!*entry) break;
    const std::string path = (*entry)->path;
    if (!(*entry)->regular || (path != kMediumManifest && path != kMediumManifestDigest)) continue;
    auto content = reader.content(path == kMediumManifest ? kManifestLimit : kDigestLineLimit);
    if (!content)
      return fail(path.substr(path.find('/') + 1) + " cannot be read: " + content.error().message);
    (path == kMediumManifest ? manifest : digest_line) = std::move(*content);
  }
  if (!manifest) return fail("manifest.json is missing");
  if (!digest_line) return fail("manifest.sha256 is missing");
  const std::string found = to_hex(sha256(as_bytes(*manifest)));
  if (digest_line->substr(0, 64) != found) {
    return fail("manifest.json is damaged (sha256 " + found + " instead of " + digest_line->substr(0, 64) +
                ")");
  }
  return parse_manifest(*manifest);
}

// Where the bytes of a component go while they are checked; may be nothing.
using Sink = std::function<Status(ByteView)>;

// Reads the component that the reader stands at, and checks size and digest.
Status read_component(MediumReader& reader, const MediumReader::Entry& entry, const Component& component,
                      const Sink& sink) {
  if (entry.size != component.size) {
    return fail(component.name + " is damaged (" + std::to_string(entry.size.count) + " bytes instead of " +
                std::to_string(component.size.count) + ")");
  }
  Hasher hasher(Hasher::Kind::sha256);
  std::uint64_t length = 0;
  std::optional<Error> sink_error;
  const auto status = reader.stream(component.size, [&](ByteView bytes) -> Status {
    hasher.add(bytes);
    length += bytes.size();
    if (!sink) return {};
    auto taken = sink(bytes);
    if (!taken) sink_error = taken.error();
    return taken;
  });
  if (sink_error) return tl::unexpected<Error>(std::move(*sink_error));
  if (!status || length != component.size.count) {
    return fail(component.name + " is cut short or cannot be read" +
                (status ? std::string() : " (" + status.error().message + ")"));
  }
  const Digest256 found = hasher.finish();
  if (found != component.sha256) {
    return fail(component.name + " is damaged (sha256 " + to_hex(found) + " instead of " +
                to_hex(component.sha256) + ")");
  }
  return {};
}

// What one pass does with a component: where its bytes go, and what follows once they are known to be right.
struct Handling {
  Sink sink;
  std::function<Status()> done;
};

// One pass over the medium, in the order of its bytes. Components for which `choose` has no answer are
// skipped, and all of the others must be there and right.
Status read_components(const fs::path& path, const Manifest& manifest,
                       const std::function<Result<std::optional<Handling>>(const Component&)>& choose) {
  auto reader = MediumReader::open_file(path);
  if (!reader) return tl::unexpected<Error>(reader.error());
  std::set<std::string> seen;
  for (;;) {
    const auto entry = reader->next();
    if (!entry) return fail("is damaged: " + entry.error().message);
    if (!*entry) break;
    const std::string& file = (*entry)->path;
    const auto component = std::find_if(manifest.components.begin(), manifest.components.end(),
                                        [&](const Component& candidate) { return candidate.file == file; });
    if (component == manifest.components.end() || !(*entry)->regular) continue;
    auto handling = choose(*component);
    if (!handling) return tl::unexpected<Error>(handling.error());
    if (!seen.insert(component->name).second) return fail(component->name + " is there twice");
    if (!*handling) continue;
    ROOKERY_TRY(read_component(*reader, **entry, *component, (*handling)->sink));
    if ((*handling)->done) ROOKERY_TRY((*handling)->done());
  }
  for (const Component& component : manifest.components) {
    if (!seen.contains(component.name)) return fail(component.name + " is missing");
  }
  return {};
}

tl::unexpected<Error> about(const fs::path& medium, Error error) {
  return tl::unexpected<Error>(std::move(error).while_doing("medium " + medium.string()));
}

}  // namespace

Result<Manifest> manifest_on_medium(ByteView medium) {
  auto reader = MediumReader::open_memory(medium);
  if (!reader) return tl::unexpected<Error>(reader.error());
  return read_manifest(*reader);
}

Result<Medium> Medium::open(const fs::path& path) {
  auto reader = MediumReader::open_file(path);
  if (!reader) return about(path, Error{reader.error()}.while_doing("is not a medium"));
  auto manifest = read_manifest(*reader);
  if (!manifest) return about(path, manifest.error());
  return Medium(path, std::move(*manifest));
}

Status Medium::verify() const {
  const auto all = [](const Component&) -> Result<std::optional<Handling>> { return Handling{}; };
  if (auto status = read_components(path_, manifest_, all); !status) return about(path_, status.error());
  return {};
}

Result<std::map<std::string, fs::path>> Medium::unpack(const std::vector<std::string>& components,
                                                       const Store& store,
                                                       const std::vector<std::string>& left_out) const {
  for (const std::string& name : components) {
    if (manifest_.find(name) == nullptr)
      return about(path_, Error{ErrorKind::infrastructure, "has no " + name});
  }
  const auto choose = [&](const Component& component) -> Result<std::optional<Handling>> {
    if (std::find(left_out.begin(), left_out.end(), component.name) != left_out.end())
      return std::optional<Handling>{};
    const bool wanted = std::find(components.begin(), components.end(), component.name) != components.end();
    // What the store has is read again as well: a file that a kernel will start from is worth its
    // milliseconds.
    if (!wanted || (store.has(component.sha256) && store.verify_object(component.sha256))) return Handling{};
    auto incoming = store.incoming();
    if (!incoming) return tl::unexpected<Error>(incoming.error());
    const auto object = std::make_shared<Store::Incoming>(std::move(*incoming));
    const bool executable = component.name.starts_with(kLinuxUml);
    return Handling{[object](ByteView bytes) { return object->write(bytes); },
                    [object, executable]() -> Status {
                      if (auto kept = object->keep(executable); !kept)
                        return tl::unexpected<Error>(kept.error());
                      return {};
                    }};
  };
  if (auto status = read_components(path_, manifest_, choose); !status) return about(path_, status.error());
  std::map<std::string, fs::path> paths;
  for (const std::string& name : components) {
    auto path = store.object(manifest_.find(name)->sha256);
    if (!path) return tl::unexpected<Error>(path.error());
    paths.emplace(name, std::move(*path));
  }
  return paths;
}

Status Medium::extract(std::string_view component, const fs::path& destination) const {
  if (manifest_.find(component) == nullptr) {
    return about(path_, Error{ErrorKind::infrastructure, "has no " + std::string(component)});
  }
  auto file = WrittenFile::make(destination);
  if (!file) return tl::unexpected<Error>(file.error());
  const auto choose = [&](const Component& candidate) -> Result<std::optional<Handling>> {
    if (candidate.name != component) return std::optional<Handling>{};
    return Handling{
        [&](ByteView bytes) { return file->write(bytes); },
        [&] { return file->keep(destination, candidate.name.starts_with(kLinuxUml) ? 0755 : 0644); }};
  };
  if (auto status = read_components(path_, manifest_, choose); !status) return about(path_, status.error());
  return {};
}

}  // namespace rookery::images
