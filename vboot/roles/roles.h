// What a machine is told to be: the files that its role lays into its file system before the role's start
// program runs. Pure: plan and image facts in, files out, golden-tested in tests/golden/roles.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vboot/lab/lab_plan.h"

namespace rookery::vboot {

// One file of the image's medium, as the manifest has it.
struct ImageComponent {
  std::string name;    // stage2.cpio
  std::string sha256;  // 64 lower-case hexadecimal digits
};

// What a role needs to know of the image that the lab boots.
struct ImageFacts {
  std::vector<ImageComponent> components;

  const ImageComponent* find(std::string_view name) const;
};

struct RoleFile {
  std::string path;  // relative to the machine's root, for example run/rookery/role/start
  unsigned mode = 0644;
  std::string content;
};

// A machine's role. If there is a file run/rookery/role/start, the machine runs it once, when its medium is
// mounted and before it reports ready; its exit code other than 0 means failed, and what it printed says why.
struct RoleBundle {
  std::string role;
  std::vector<RoleFile> files;  // in the order of their paths

  const RoleFile* find(std::string_view path) const;
};

// The files of one machine of the plan. An Error (kind infrastructure) says what the image lacks.
Result<RoleBundle> role_files(const LabPlan& plan, const MachinePlan& machine, const ImageFacts& image);

}  // namespace rookery::vboot
