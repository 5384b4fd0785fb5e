#include "images/store/manifest.h"

#include <algorithm>
#include <set>

#include "base/json/fields.h"

namespace rookery::images {
namespace {

constexpr std::int64_t kLatestCreated = 253402300799;  // the end of the year 9999

std::string name_of(FieldReader& fields, const char* field) {
  std::string name = fields.text(field, kNameLimit);
  if (fields.ok() && !is_name(name)) fields.refuse(field, "must be made of a-z, 0-9, '.', '_' and '-'");
  return name;
}

std::string some_text(FieldReader& fields, const char* field) {
  std::string text = fields.text(field, kTextLimit);
  if (fields.ok() && text.empty()) fields.refuse(field, "must not be empty");
  return text;
}

void read_component(FieldReader& fields, Manifest& manifest) {
  Component component;
  component.name = name_of(fields, "name");
  component.file = fields.text("file", kTextLimit);
  component.sha256 = fields.digest("sha256");
  component.size.count = static_cast<std::uint64_t>(
      fields.integer("size", 1, static_cast<std::int64_t>(kComponentSizeLimit.count)));
  if (!fields.ok()) return;
  // One place for each component, so that no medium can point out of its own folder.
  if (component.file != "rookery/" + component.name)
    fields.refuse("file", "must be rookery/" + component.name);
  if (manifest.find(component.name) != nullptr) fields.refuse("name", component.name + " is there twice");
  manifest.components.push_back(std::move(component));
}

}  // namespace

const Component* Manifest::find(std::string_view component) const {
  const auto found = std::find_if(components.begin(), components.end(),
                                  [&](const Component& candidate) { return candidate.name == component; });
  return found == components.end() ? nullptr : &*found;
}

bool is_name(std::string_view text) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= kNameLimit && plain(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; });
}

std::string layer_component(std::string_view role, const std::vector<std::string>& packages) {
  std::set<std::string_view> names(packages.begin(), packages.end());
  Hasher hasher(Hasher::Kind::sha256);
  for (const std::string_view name : names) hasher.add(as_bytes(name)).add(as_bytes("\n"));
  return std::string(kLayerPrefix) + std::string(role) + "." + to_hex(hasher.finish()).substr(0, 8) +
         ".squashfs";
}

std::string to_json(const Manifest& manifest) {
  Json kernels = Json::array();
  for (const KernelVersion& kernel : manifest.kernels)
    kernels.add(Json::object().set("component", kernel.component).set("version", kernel.version));
  Json components = Json::array();
  for (const Component& component : manifest.components) {
    components.add(Json::object()
                       .set("name", component.name)
                       .set("file", component.file)
                       .set("sha256", to_hex(component.sha256))
                       .set("size", Json::integer(static_cast<std::int64_t>(component.size.count))));
  }
  return Json::object()
             .set("schema", kManifestSchema)
             .set("name", manifest.name)
             .set("version", manifest.version)
             .set("distribution", Json::object()
                                      .set("id", manifest.distribution.id)
                                      .set("version", manifest.distribution.version)
                                      .set("packages", to_hex(manifest.distribution.packages)))
             .set("created", Json::integer(manifest.created))
             .set("kernels", std::move(kernels))
             .set("components", std::move(components))
             .pretty() +
         "\n";
}

Result<Manifest> parse_manifest(std::string_view json) {
  if (json.size() > kManifestLimit.count) return fail("manifest: is larger than a manifest may be");
  const auto root = parse_json_file(json);
  if (!root) return fail("manifest: " + root.error().message);
  FieldReader fields(*root, "manifest");
  Manifest manifest;
  const std::string schema = fields.text("schema", kTextLimit);
  if (fields.ok() && schema != kManifestSchema) {
    fields.refuse("schema", "is \"" + schema + "\", and this program takes \"" +
                                std::string(kManifestSchema) +
                                "\": the image was made by another version of it; make it anew with 'rookery "
                                "image build'");
  }
  manifest.name = name_of(fields, "name");
  manifest.version = some_text(fields, "version");
  fields.object("distribution", [&](FieldReader& inner) {
    manifest.distribution.id = name_of(inner, "id");
    manifest.distribution.version = some_text(inner, "version");
    manifest.distribution.packages = inner.digest("packages");
  });
  manifest.created = fields.integer("created", 0, kLatestCreated);
  fields.objects("kernels", kKernelsLimit, [&](FieldReader& inner) {
    manifest.kernels.push_back({name_of(inner, "component"), some_text(inner, "version")});
  });
  fields.objects("components", kComponentsLimit,
                 [&](FieldReader& inner) { read_component(inner, manifest); });
  for (std::size_t i = 0; i < manifest.kernels.size() && fields.ok(); ++i) {
    if (manifest.find(manifest.kernels[i].component) == nullptr) {
      fields.refuse("kernels[" + std::to_string(i) + "].component", "names no component");
    }
  }
  ROOKERY_TRY(fields.finish());
  return manifest;
}

Digest256 digest_of(const Manifest& manifest) {
  return sha256(as_bytes(to_json(manifest)));
}

}  // namespace rookery::images
