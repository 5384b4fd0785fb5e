#include "vboot/roles/roles.h"

#include <algorithm>

#include "vboot/roles/boot_server.h"

namespace rookery::vboot {

const ImageComponent* ImageFacts::find(std::string_view name) const {
  auto found =
      std::find_if(components.begin(), components.end(), [&](const auto& c) { return c.name == name; });
  return found == components.end() ? nullptr : &*found;
}

const RoleFile* RoleBundle::find(std::string_view path) const {
  auto found = std::find_if(files.begin(), files.end(), [&](const auto& f) { return f.path == path; });
  return found == files.end() ? nullptr : &*found;
}

Result<RoleBundle> role_files(const LabPlan& plan, const MachinePlan& machine, const ImageFacts& image) {
  RoleBundle bundle{std::string(to_text(machine.role)), {}};
  switch (machine.role) {
    case Role::client:  // all that a client needs, the network tells it
      return bundle;
    case Role::boot_server: {
      auto files = boot_server_files(plan, machine, image);
      if (!files) return tl::unexpected(std::move(files.error()).while_doing("role boot-server"));
      bundle.files = std::move(*files);
      return bundle;
    }
  }
  bug("a role without a generator");
}

}  // namespace rookery::vboot
