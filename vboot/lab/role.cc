#include "vboot/lab/role.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "vboot/lab/node_reader.h"
#include "vboot/lab/shipped_roles.h"
#include "vboot/lab/words.h"

namespace rookery::vboot {
namespace {

// A path below some folder that does not lead out of it.
bool is_inner_path(std::string_view text) {
  if (text.empty() || text.size() > RoleLimits::kPath) return false;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('/', start), text.size());
    const std::string_view part = text.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return false;
    start = end + 1;
  }
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
}

// Debian Policy §5.6.1, "Source" and "Package".
bool is_package(std::string_view text) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return text.size() >= 2 && text.size() <= 64 && plain(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return plain(c) || c == '+' || c == '-' || c == '.'; });
}

class Reader final : NodeReader {
 public:
  explicit Reader(Problems& problems) : NodeReader(problems) {}

  Role role(const YamlNode& root) {
    Role role;
    map(root, "the role's manifest",
        {{"role",
          [&](const YamlNode& v) {
            role.name = name(v, "a role name", "nfs-client", RoleLimits::kName, "-").value_or("");
          }},
         {"needs", [&](const YamlNode& v) { services(v, role.needs); }},
         {"provides", [&](const YamlNode& v) { services(v, role.provides); }},
         {"packages",
          [&](const YamlNode& v) {
            words(v, "Debian package names like 'nfs-common'", RoleLimits::kPackages, is_package,
                  role.packages);
          }},
         {"files", [&](const YamlNode& v) { files(v, role.files); }},
         {"kernel",
          [&](const YamlNode& v) {
            constexpr std::string_view kKernels[] = {"storage"};
            role.storage_kernel = v.text == kKernels[0];
            if (!role.storage_kernel) word(v, "a kernel", kKernels, "kernels");
          }},
         {"start", [&](const YamlNode& v) {
            if (const auto from = own_file(v)) role.start = Role::File{"", *from, ""};
          }}});
    if (root.kind == YamlNode::Kind::map)
      require(root, "role", "a role needs its name, that of its folder: 'role: nfs-client'");
    return role;
  }

 private:
  void services(const YamlNode& node, std::vector<std::string>& found) {
    words(
        node, "services like 'home' (a-z, 0-9 and '-')", RoleLimits::kServices,
        [](std::string_view word) { return is_name(word, RoleLimits::kName, "-"); }, found);
  }

  void words(const YamlNode& node, std::string_view what, std::size_t most, bool (*good)(std::string_view),
             std::vector<std::string>& found) {
    if (node.kind != YamlNode::Kind::list || node.items.size() > most) {
      problems_.add(node.at, fmt::format("expected a list of at most {} {}, found {}", most, what,
                                         node.kind == YamlNode::Kind::list
                                             ? fmt::format("{} of them", node.items.size())
                                             : describe(node)));
      return;
    }
    for (const YamlNode& item : node.items) {
      if (item.kind != YamlNode::Kind::scalar || !good(item.text)) {
        problems_.add(item.at, fmt::format("expected one of {}, found {}", what, describe(item)));
      } else if (std::find(found.begin(), found.end(), item.text) != found.end()) {
        problems_.add(item.at, fmt::format("{} is there twice", describe(item)));
      } else {
        found.push_back(item.text);
      }
    }
  }

  std::optional<std::string> own_file(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::scalar && is_inner_path(node.text)) return node.text;
    problems_.add(node.at,
                  fmt::format("expected the name of a file in the role's folder, found {}", describe(node)));
    return std::nullopt;
  }

  void files(const YamlNode& node, std::vector<Role::File>& found) {
    entries(node, "files", "files", RoleLimits::kFiles, [&](const YamlNode& key, const YamlNode& value) {
      if (!is_inner_path(key.text)) {
        problems_.add(key.at, fmt::format("expected where the machine is to have the file, like "
                                          "'etc/motd' without a slash in front, found {}",
                                          describe(key)));
      } else if (const auto from = own_file(value)) {
        found.push_back({key.text, *from, ""});
      }
    });
  }
};

Result<std::optional<Role>> up(Result<Role> role, std::string_view name, std::string_view filename) {
  if (!role) return tl::unexpected<Error>(role.error());
  if (role->name != name) {
    return fail(ErrorKind::usage,
                at_place(filename, {},
                         fmt::format("the role is called '{}', and its folder '{}'; they must "
                                     "be the same",
                                     role->name, name)));
  }
  return std::optional<Role>(std::move(*role));
}

}  // namespace

bool has_role(const RoleNames& roles, std::string_view name) {
  return std::find(roles.begin(), roles.end(), name) != roles.end();
}

std::string roles_in_words(const RoleNames& roles) {
  return fmt::format("{}", fmt::join(roles, ", "));
}

Result<Role> parse_role(std::string_view text, std::string_view filename) {
  auto tree = parse_yaml(text, filename);
  if (!tree) return tl::unexpected<Error>(tree.error());
  Problems problems(filename);
  Role role = Reader(problems).role(*tree);
  if (!problems.empty()) return tl::unexpected<Error>(problems.to_error());
  return role;
}

Result<Role> read_role(std::string_view manifest, std::string_view filename, const RoleFileReader& file) {
  auto role = parse_role(manifest, filename);
  if (!role) return role;
  std::vector<Role::File*> all;
  for (Role::File& each : role->files) all.push_back(&each);
  if (role->start) all.push_back(&*role->start);
  std::uint64_t size = 0;
  for (Role::File* each : all) {
    auto content = file(each->from);
    if (!content) {
      return fail(ErrorKind::usage, at_place(filename, {}, content.error().message));
    }
    size += content->size();
    if (size > RoleLimits::kAll.count) {
      return fail(ErrorKind::usage,
                  at_place(filename, {},
                           fmt::format("the role's files are larger than {}; what is larger "
                                       "belongs into a package",
                                       to_text(RoleLimits::kAll))));
    }
    each->content = std::move(*content);
  }
  if (role->start && !role->start->content.starts_with("#!")) {
    return fail(
        ErrorKind::usage,
        at_place(filename, {}, fmt::format("{} must be a script that begins with '#!'", role->start->from)));
  }
  return role;
}

Result<Role> read_role_folder(const std::filesystem::path& folder) {
  const auto manifest = folder / kRoleManifest;
  const auto text = read_file(manifest, RoleLimits::kFile);
  if (!text) return fail(ErrorKind::usage, text.error().message);
  return read_role(*text, manifest.string(),
                   [&](const std::string& name) { return read_file(folder / name, RoleLimits::kFile); });
}

std::vector<std::string_view> shipped_role_names() {
  std::vector<std::string_view> names;
  for (const ShippedFile& file : kShippedRoleFiles) {
    if (file.name == kRoleManifest) names.push_back(file.role);
  }
  return names;
}

Result<std::optional<Role>> shipped_role(const std::string&, const std::string& name) {
  const auto file = [&](const std::string& wanted) -> Result<std::string> {
    for (const ShippedFile& each : kShippedRoleFiles) {
      if (each.role == name && each.name == wanted) return std::string(each.content);
    }
    return fail(fmt::format("the shipped role '{}' has no {}", name, wanted));
  };
  const auto manifest = file(kRoleManifest);
  if (!manifest) return std::optional<Role>();
  const std::string filename = fmt::format("roles/{}/{}", name, kRoleManifest);
  return up(read_role(*manifest, filename, file), name, filename);
}

RoleFinder roles_beside(const std::filesystem::path& lab_file) {
  return [parent = lab_file.parent_path()](const std::string& folder,
                                           const std::string& name) -> Result<std::optional<Role>> {
    const auto own = parent / folder / name;
    std::error_code ignored;
    if (name == kBootServer || !std::filesystem::exists(own / kRoleManifest, ignored))
      return shipped_role(folder, name);
    return up(read_role_folder(own), name, (own / kRoleManifest).string());
  };
}

}  // namespace rookery::vboot
