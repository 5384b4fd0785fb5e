#include "vboot/run/session/booted_image.h"

#include <algorithm>

#include "images/medium/medium.h"

namespace rookery::vboot {
namespace {

std::vector<std::string> layers_of_nobody(const images::Manifest& manifest, const LabPlan* plan) {
  std::vector<std::string> names;
  if (plan == nullptr) return names;
  for (const auto& component : manifest.components) {
    const bool has_one = std::any_of(plan->roles.begin(), plan->roles.end(), [&](const Role& role) {
      return component.name == images::layer_component(role.name, role.packages);
    });
    if (component.name.starts_with(images::kLayerPrefix) && !has_one) names.push_back(component.name);
  }
  return names;
}

}  // namespace

ImageFacts BootedImage::facts() const {
  ImageFacts facts;
  facts.created = manifest.created;
  for (const auto& component : manifest.components) {
    facts.components.push_back({component.name, to_hex(component.sha256)});
  }
  return facts;
}

Result<BootedImage> open_booted_image(const std::string& name, const images::Store& store,
                                      const LabPlan* plan) {
  const auto stored = store.find(name);
  if (!stored) return tl::unexpected<Error>(stored.error());
  const auto path = store.object(stored->medium);
  if (!path) return tl::unexpected<Error>(path.error());
  const auto medium = images::Medium::open(*path);
  if (!medium) return tl::unexpected<Error>(medium.error());
  const std::string kernel(images::kLinuxUml), rom(images::kStageOneCpio), second(images::kStageTwoCpio);
  const std::string storage(images::kLinuxUmlStorage), vmlinuz(images::kVmlinuz),
      modules(images::kModulesCpio);
  const images::Manifest& manifest = medium->manifest();
  const bool for_pcs = manifest.find(vmlinuz) != nullptr && manifest.find(modules) != nullptr;
  std::vector<std::string> wanted{kernel, rom, second};
  if (manifest.find(storage) != nullptr) wanted.push_back(storage);
  if (for_pcs) wanted.insert(wanted.end(), {vmlinuz, modules});
  const auto files = medium->unpack(wanted, store, layers_of_nobody(manifest, plan));
  if (!files) return tl::unexpected<Error>(files.error());
  BootedImage image;
  image.manifest = manifest;
  image.digest = stored->manifest;
  image.medium = *path;
  image.boot_server = {files->at(kernel), files->at(second)};
  image.client = {files->at(kernel), files->at(rom)};
  if (const auto found = files->find(storage); found != files->end())
    image.boot_server.storage_kernel = image.client.storage_kernel = found->second;
  if (for_pcs) {
    image.microvm.kernel = files->at(vmlinuz);
    image.microvm.initramfs = files->at(rom);
    image.microvm.modules = files->at(modules);
    image.microvm.words = " no_timer_check rookery.kernel.sha256=" + to_hex(manifest.find(vmlinuz)->sha256);
    image.microvm_server = image.microvm;
    image.microvm_server.initramfs = files->at(second);
  }
  return image;
}

}  // namespace rookery::vboot
