#include "images/make/kept_root.h"

#include "base/file.h"
#include "images/store/json_fields.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {
constexpr const char* kFile = "root.json";
}

std::optional<KeptRoot> read_kept_root(const fs::path& folder, const Store& store) {
  const auto text = read_file(folder / kFile, Bytes{1 << 16});
  if (!text || !fs::exists(folder / kBusyboxFile)) return std::nullopt;
  const auto json = parse_json(*text);
  if (!json) return std::nullopt;
  FieldReader fields(json->get(), "root");
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
  // Names and versions are of our own making: there is nothing in them to escape.
  std::string text = "{\"kernel\": \"" + root.tree.kernel_version + "\", \"packages\": \"" +
                     to_hex(root.tree.packages) + "\", \"created\": " + std::to_string(root.tree.created) +
                     ", \"parts\": [";
  const char* separator = "";
  for (const auto& [name, part] : root.parts) {
    text += separator;
    text += "{\"name\": \"" + name + "\", \"sha256\": \"" + to_hex(part.sha256) +
            "\", \"size\": " + std::to_string(part.size.count) + "}";
    separator = ", ";
  }
  return write_file(folder / kFile, text + "]}\n");
}

}  // namespace rookery::images
