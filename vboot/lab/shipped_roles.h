// The files below roles/ of the sources, as text in the program: written by the build (CMakeLists.txt), so
// that a lab file means the same wherever the program runs. Constant; lives as long as the program.
#pragma once

#include <span>
#include <string_view>

namespace rookery::vboot {

struct ShippedFile {
  std::string_view role, name, content;
};

extern const std::span<const ShippedFile> kShippedRoleFiles;  // by role and name

}  // namespace rookery::vboot
