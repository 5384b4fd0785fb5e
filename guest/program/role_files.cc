#include "guest/program/role_files.h"

#include <unistd.h>

#include <cerrno>

#include "guest/program/system.h"

namespace rookery::guest {
namespace {

constexpr const char* kDefaultRole = "/usr/share/rookery/roles/boot-server";

}  // namespace

Status set_hostname(const std::string& name, const std::string& address) {
  if (sethostname(name.data(), name.size()) != 0) return fail_errno("the host name '" + name + "'");
  ROOKERY_TRY(write_text("/etc/hostname", name + "\n"));
  std::string hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
  hosts += (address.empty() ? "127.0.1.1" : address) + " " + name + "\n";
  return write_text("/etc/hosts", hosts);
}

Status set_resolver(const Lease& lease) {
  std::string text;
  if (const std::string domain = lease.first("domain"); !domain.empty()) text += "search " + domain + "\n";
  std::string servers = lease.value("dns");
  while (!servers.empty()) {
    const std::string one = servers.substr(0, servers.find(' '));
    text += "nameserver " + one + "\n";
    servers.erase(0, one.size() + 1);
  }
  return text.empty() ? Status() : write_text("/etc/resolv.conf", text);
}

Status apply_role(const agent::Role& role) {
  for (const agent::RoleFile& file : role.files) ROOKERY_TRY(agent::check_role_path(file.path));
  if (!role.hostname.empty()) ROOKERY_TRY(set_hostname(role.hostname, ""));
  for (const agent::RoleFile& file : role.files) {
    const std::string path = "/" + file.path;
    ROOKERY_TRY(make_folders(path.substr(0, std::max<std::size_t>(1, path.find_last_of('/')))));
    ROOKERY_TRY(write_text(path, as_text(file.content), file.mode));
  }
  return {};
}

Status apply_default_role() {
  if (access(kDefaultRole, R_OK) != 0) {
    say("there is no management network to get a role from, and the image keeps none");
    return {};
  }
  return run_program({"/bin/cp", "-a", std::string(kDefaultRole) + "/.", "/"}, std::chrono::minutes(1));
}

}  // namespace rookery::guest
