// A role is what a machine is for: a folder with a manifest, role.yaml, and the files that the manifest names
// (docs/roles.md). Plain values; the shipped ones are part of this program, others lie beside a lab file.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace rookery::vboot {

// The role of the machine that all others boot from: the only one that the house itself knows.
inline constexpr std::string_view kBootServer = "boot-server";
inline constexpr const char* kRoleManifest = "role.yaml";

struct RoleLimits {
  static constexpr std::size_t kName = 32;      // of a role and of a service
  static constexpr std::size_t kServices = 16;  // that a role needs, and that it provides
  static constexpr std::size_t kPackages = 64;
  static constexpr std::size_t kFiles = 64;
  static constexpr std::size_t kPath = 256;
  static constexpr Bytes kFile{256u << 10};
  static constexpr Bytes kAll{512u << 10};  // of all files of a role: they travel in one message
  static constexpr std::size_t kPerMachine = 16;
};

struct Role {
  struct File {
    std::string path;     // where a machine has it, without a slash in front
    std::string from;     // its name in the role's folder
    std::string content;  // a program if it begins with "#!"
    friend bool operator==(const File&, const File&) = default;
  };
  std::string name;
  std::vector<std::string> needs, provides;  // services
  std::vector<std::string> packages;         // of the image's distribution
  std::vector<File> files;                   // in the order of the manifest
  std::optional<File> start;                 // run on each boot; it has no path of its own
  bool storage_kernel = false;               // User-Mode Linux: it needs the kernel that has NFS and iSCSI
  friend bool operator==(const Role&, const Role&) = default;
};

using RoleNames = std::vector<std::string>;  // of one machine, in the order in which they start
bool has_role(const RoleNames& roles, std::string_view name);
inline bool serves_boot(const RoleNames& roles) {
  return has_role(roles, kBootServer);
}
std::string roles_in_words(const RoleNames& roles);  // "client, nfs-client"

// Reads a manifest; the files that it names are still without content. The Error is of kind usage and has a
// line for each problem: "roles/x/role.yaml:3:9: …".
Result<Role> parse_role(std::string_view text, std::string_view filename);

// Gives a role's file by its name in the folder.
using RoleFileReader = std::function<Result<std::string>(const std::string& name)>;
// The role with its files' contents.
Result<Role> read_role(std::string_view manifest, std::string_view filename, const RoleFileReader& file);
Result<Role> read_role_folder(const std::filesystem::path& folder);

// Finds a role by name: `folder` is where the lab file says that its own are ("roles" unless told).
using RoleFinder =
    std::function<Result<std::optional<Role>>(const std::string& folder, const std::string& name)>;
// Those that come with Rookery.
std::vector<std::string_view> shipped_role_names();
Result<std::optional<Role>> shipped_role(const std::string& folder, const std::string& name);
// Those in the folder, which is relative to the lab file's, and then the shipped ones.
RoleFinder roles_beside(const std::filesystem::path& lab_file);

}  // namespace rookery::vboot
