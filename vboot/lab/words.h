// The words that a lab file chooses from.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace rookery::vboot {

// What a machine is for. The role's files are made by vboot/roles.
enum class Role { boot_server, client };

inline constexpr std::array<std::string_view, 2> kRoleWords{"boot-server", "client"};
// Which of them can be used on this host, the command's main knows.
inline constexpr std::array<std::string_view, 5> kBackendWords{"uml", "qemu", "libvirt", "xen", "fake"};

std::string_view to_text(Role role);
std::optional<Role> role_of(std::string_view word);

}  // namespace rookery::vboot
