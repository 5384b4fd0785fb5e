// What a machine is told to be: the layers of the image that its roles need, the files that they lay into its
// file system, and the program that starts them. Pure: plan and image facts in, bundle out, golden-tested in
// tests/golden/roles.
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
  std::int64_t created = 0;  // images::Manifest::created

  const ImageComponent* find(std::string_view name) const;
};

struct RoleFile {
  std::string path;  // relative to the machine's root, for example run/rookery/role/start
  unsigned mode = 0644;
  std::string content;
};

// The packages of a role: a squashfs over that of the image.
struct RoleLayer {
  std::string component;  // as images::layer_component() names it
  std::string sha256;
  std::string url;  // where the boot server has it
};

// All that one machine's roles bring. If there is a file run/rookery/role/start, the machine runs it once,
// when its system is mounted and before it reports ready; its exit code other than 0 means failed, and what
// it printed says why. Who provides what a role needs stands in run/rookery/role/providers/<service>: a line
// with address and name for each machine, in the order of the lab.
struct RoleBundle {
  std::string roles;              // in words
  std::vector<RoleLayer> layers;  // each over those before it
  std::vector<RoleFile> files;    // in the order of their paths

  const RoleFile* find(std::string_view path) const;
};

// The files of one machine of the plan. An Error (kind infrastructure) says what the image lacks.
Result<RoleBundle> role_files(const LabPlan& plan, const MachinePlan& machine, const ImageFacts& image);

}  // namespace rookery::vboot
