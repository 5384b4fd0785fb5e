#include "images/make/kept_root.h"

#include "base/file.h"
#include "base/json/fields.h"
#include "base/json/layout.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {
constexpr const char* kFile = "root.json";
}

std::optional<KeptRoot> read_kept_root(const fs::path& folder, const Store& store) {
  const auto text = read_file(folder / kFile, Bytes{1 << 16});
  if (!text || !fs::exists(folder / kBusyboxFile)) return std::nullopt;
  const auto json = parse_json_file(*text);
  if (!json) return std::nullopt;
  FieldReader fields(*json, "root");
  KeptRoot root;
  root.tree.kernel_version = fields.text("kernel", kTextLimit);
  root.tree.packages = fields.digest("packages");
  root.tree.created = fields.integer("created", 1, INT64_MAX);
  fields.objects("parts", kComponentsLimit, [&](FieldReader& part) {
    const std::string name = part.text("name", kNameLimit);
    const auto size = static_cast<std::uint64_t>(part.integer("size", 1, INT64_MAX));
    root.parts[name] = {part.digest("sha256"), Bytes{size}};
  });
  if (!fields.finish() || root.parts.empty()) return std::nullopt;
  for (const auto& [name, part] : root.parts) {
    if (!store.has(part.sha256)) return std::nullopt;
  }
  return root;
}

Status write_kept_root(const fs::path& folder, const KeptRoot& root) {
  Json parts = Json::array();
  for (const auto& [name, part] : root.parts) {
    parts.add(Json::object()
                  .set("name", name)
                  .set("sha256", to_hex(part.sha256))
                  .set("size", Json::count(part.size.count)));
  }
  const Json record = Json::object()
                          .set("kernel", root.tree.kernel_version)
                          .set("packages", to_hex(root.tree.packages))
                          .set("created", Json::integer(root.tree.created))
                          .set("parts", std::move(parts));
  return write_file(folder / kFile, write_json(record, {.spaced = true}) + "\n");
}

}  // namespace rookery::images
