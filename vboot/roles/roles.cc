#include "vboot/roles/roles.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "images/store/manifest.h"
#include "vboot/roles/boot_server.h"

namespace rookery::vboot {
namespace {

using Files = std::map<std::string, RoleFile>;  // by path

unsigned mode_of(std::string_view content) {
  return content.starts_with("#!") ? 0755 : 0644;
}

Status put(Files& files, RoleFile file) {
  const std::string path = file.path;
  if (files.emplace(path, std::move(file)).second) return {};
  return fail(ErrorKind::usage, fmt::format("two roles bring a file {}", path));
}

// Its address as others in that VLAN know it.
Ipv4 address_in(const LabPlan& plan, const MachinePlan& machine, std::size_t vlan) {
  return serves_boot(machine.roles) ? plan.vlans[vlan].server : machine.address;
}

bool provides(const LabPlan& plan, const MachinePlan& machine, std::string_view service) {
  return std::any_of(machine.roles.begin(), machine.roles.end(), [&](const std::string& name) {
    const Role& role = plan.role(name);
    return std::find(role.provides.begin(), role.provides.end(), service) != role.provides.end();
  });
}

std::string providers(const LabPlan& plan, const MachinePlan& asks, std::string_view service) {
  std::string text;
  for (const MachinePlan& machine : plan.machines) {
    const bool near =
        machine.vlan_index == asks.vlan_index || serves_boot(machine.roles) || serves_boot(asks.roles);
    if (near && provides(plan, machine, service))
      text += fmt::format("{} {}\n", to_text(address_in(plan, machine, asks.vlan_index)), machine.name);
  }
  return text;
}

// A role of one's own may have the name of a shipped one, and other packages.
bool is_shipped(const Role& role) {
  const auto shipped = shipped_role("", role.name);
  return shipped && *shipped && (*shipped)->packages == role.packages;
}

Status add_layer(const LabPlan& plan, const MachinePlan& machine, const Role& role, const ImageFacts& image,
                 RoleBundle& bundle) {
  if (role.packages.empty()) return {};
  const std::string component = images::layer_component(role.name, role.packages);
  const ImageComponent* found = image.find(component);
  if (found == nullptr) {
    return fail(
        fmt::format("the image {0} has no packages of the role '{1}' as its manifest has them ({2}): "
                    "'rookery image build "
                    "--name {0} --role {3}' adds them, which takes the network",
                    plan.image, role.name, component, is_shipped(role) ? role.name : "FOLDER-OF-THE-ROLE"));
  }
  bundle.layers.push_back(
      {component, found->sha256,
       fmt::format("nbd://{}:{}/{}", to_text(plan.vlans[machine.vlan_index].server), kNbdPort, component)});
  return {};
}

}  // namespace

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
  RoleBundle bundle{roles_in_words(machine.roles), {}, {}};
  Files files;
  std::vector<RoleFile> starts;
  const std::string folder = std::string(kRoleFolder).substr(1);
  for (const std::string& name : machine.roles) {
    const Role& role = plan.role(name);
    if (name == kBootServer) {  // its files are computed
      auto made = boot_server_files(plan, machine, image);
      if (!made) return tl::unexpected<Error>(std::move(made.error()).while_doing("role boot-server"));
      for (RoleFile& file : *made) {
        if (file.path == folder + "/start") {
          starts.push_back({folder + "/boot-server.start", file.mode, std::move(file.content)});
        } else {
          ROOKERY_TRY(put(files, std::move(file)));
        }
      }
    }
    ROOKERY_TRY(add_layer(plan, machine, role, image, bundle));
    for (const Role::File& file : role.files)
      ROOKERY_TRY(put(files, {file.path, mode_of(file.content), file.content}));
    for (const std::string& service : role.needs) {
      RoleFile file{fmt::format("{}/providers/{}", folder, service), 0644, providers(plan, machine, service)};
      files.insert_or_assign(file.path, file);
    }
    if (role.start) starts.push_back({fmt::format("{}/{}.start", folder, name), 0755, role.start->content});
  }
  // One is run as it is: a new process is dear in User-Mode Linux.
  if (starts.size() == 1) {
    ROOKERY_TRY(put(files, {folder + "/start", 0755, std::move(starts.front().content)}));
  } else if (!starts.empty()) {
    std::string all = "#!/bin/sh\n# Starts this machine's roles, one after the other.\nset -e\n";
    for (RoleFile& start : starts) {
      all += fmt::format("/{}\n", start.path);
      ROOKERY_TRY(put(files, std::move(start)));
    }
    ROOKERY_TRY(put(files, {folder + "/start", 0755, std::move(all)}));
  }
  for (auto& [path, file] : files) bundle.files.push_back(std::move(file));
  return bundle;
}

}  // namespace rookery::vboot
