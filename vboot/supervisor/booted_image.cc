#include "vboot/supervisor/booted_image.h"

#include "images/medium.h"

namespace rookery::vboot {

ImageFacts BootedImage::facts() const {
  ImageFacts facts;
  for (const auto& component : manifest.components) {
    facts.components.push_back({component.name, to_hex(component.sha256)});
  }
  return facts;
}

Result<BootedImage> open_booted_image(const std::string& name, const images::Store& store) {
  const auto stored = store.find(name);
  if (!stored) return tl::unexpected<Error>(stored.error());
  const auto path = store.object(stored->medium);
  if (!path) return tl::unexpected<Error>(path.error());
  const auto medium = images::Medium::open(*path);
  if (!medium) return tl::unexpected<Error>(medium.error());
  const std::string kernel(images::kLinuxUml), rom(images::kStageOneCpio), second(images::kStageTwoCpio);
  const std::string storage(images::kLinuxUmlStorage);
  std::vector<std::string> wanted{kernel, rom, second};
  if (medium->manifest().find(storage) != nullptr) wanted.push_back(storage);
  const auto files = medium->unpack(wanted, store);
  if (!files) return tl::unexpected<Error>(files.error());
  BootedImage image;
  image.manifest = medium->manifest();
  image.digest = stored->manifest;
  image.medium = *path;
  image.boot_server = {files->at(kernel), files->at(second), {}};
  image.client = {files->at(kernel), files->at(rom), {}};
  if (const auto found = files->find(storage); found != files->end())
    image.boot_server.storage_kernel = image.client.storage_kernel = found->second;
  return image;
}

}  // namespace rookery::vboot
