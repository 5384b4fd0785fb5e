#include "vboot/lab/words.h"

namespace rookery::vboot {

std::string_view to_text(Role role) {
  return kRoleWords[static_cast<std::size_t>(role)];
}

std::optional<Role> role_of(std::string_view word) {
  for (Role role : {Role::boot_server, Role::client}) {
    if (to_text(role) == word) return role;
  }
  return std::nullopt;
}

}  // namespace rookery::vboot
