#include "images/make/own_roles.h"

#include <algorithm>
#include <sstream>
#include <string>

#include "base/file.h"
#include "images/store/manifest.h"

namespace rookery::images {
namespace {

constexpr Bytes kLimit{1 << 20};

// As dpkg has it (Debian Policy, 5.6.1).
bool is_package(const std::string& text) {
  return !text.empty() &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+-.") == std::string::npos &&
         text.front() != '-';
}

}  // namespace

std::vector<LayerRecipe> read_own_roles(const std::filesystem::path& file) {
  std::vector<LayerRecipe> roles;
  const auto text = read_file(file, kLimit);
  if (!text) return roles;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line) && roles.size() < kComponentsLimit;) {
    LayerRecipe role;
    std::istringstream words(line);
    words >> role.role;
    for (std::string package; words >> package;) role.packages.push_back(package);
    const bool good = is_name(role.role) && !role.packages.empty() &&
                      std::all_of(role.packages.begin(), role.packages.end(), is_package);
    if (good) roles.push_back(std::move(role));
  }
  return roles;
}

Status write_own_roles(const std::filesystem::path& file, const std::vector<LayerRecipe>& roles) {
  std::string text;
  for (const LayerRecipe& role : roles) {
    text += role.role;
    for (const std::string& package : role.packages) text += " " + package;
    text += "\n";
  }
  return write_file(file, text);
}

}  // namespace rookery::images
