// The commands of the image store: image build, list, show, remove, prune.
#include <fmt/format.h>

#include <cstdlib>
#include <map>

#include "base/digest.h"
#include "images/build/image_builder.h"
#include "images/store.h"
#include "vboot/cli/commands.h"
#include "vboot/cli/progress.h"
#include "vboot/control/json.h"
#include "vboot/lab/role.h"

namespace rookery::vboot {
namespace {

Json to_json(const images::Manifest& manifest, const Digest256& digest) {
  Json kernels = Json::object();
  for (const auto& kernel : manifest.kernels) kernels.set(kernel.component, kernel.version);
  Json components = Json::array();
  for (const auto& component : manifest.components) {
    components.add(Json::object()
                       .set("name", component.name)
                       .set("file", component.file)
                       .set("sha256", to_hex(component.sha256))
                       .set("size", Json::count(component.size.count)));
  }
  return Json::object()
      .set("name", manifest.name)
      .set("version", manifest.version)
      .set("manifest_sha256", to_hex(digest))
      .set("distribution", manifest.distribution.id + " " + manifest.distribution.version)
      .set("packages_sha256", to_hex(manifest.distribution.packages))
      .set("kernels", std::move(kernels))
      .set("components", std::move(components));
}

void print(const images::Manifest& manifest, const Digest256& digest) {
  fmt::print("{} {}: {} {}, manifest {}\n", manifest.name, manifest.version, manifest.distribution.id,
             manifest.distribution.version, to_hex(digest));
  for (const auto& kernel : manifest.kernels)
    fmt::print("  kernel {:<12} {}\n", kernel.component, kernel.version);
  for (const auto& component : manifest.components) {
    fmt::print("  {:<34} {:>12} bytes  {}\n", component.name, component.size.count, to_hex(component.sha256));
  }
}

// Of the shipped roles and those in the folders; one of the user's own stands for the shipped one of its
// name.
Result<std::vector<images::LayerRecipe>> layers_of(const std::vector<std::string>& folders) {
  std::map<std::string, Role> roles;
  for (const std::string_view name : shipped_role_names()) {
    auto role = shipped_role("", std::string(name));
    if (!role) return tl::unexpected<Error>(role.error());
    if (*role) roles.insert_or_assign(std::string(name), std::move(**role));
  }
  for (const std::string& folder : folders) {
    auto role = read_role_folder(folder);
    if (!role) return tl::unexpected<Error>(role.error());
    if (role->name == kBootServer)
      return fail(ErrorKind::usage, fmt::format("{}: the role '{}' is Rookery's own", folder, kBootServer));
    if (role->packages.empty()) {
      return fail(
          ErrorKind::usage,
          fmt::format("{}: the role '{}' has no packages, and needs nothing of an image; its machines get "
                      "its files as they start",
                      folder, role->name));
    }
    roles.insert_or_assign(role->name, std::move(*role));
  }
  std::vector<images::LayerRecipe> layers;
  for (const auto& [name, role] : roles) {
    if (!role.packages.empty()) layers.push_back({name, role.packages});
  }
  return layers;
}

}  // namespace

ProgramData program_data() {
  namespace fs = std::filesystem;
  const char* sources = std::getenv("ROOKERY_DATA");
  std::error_code error;
  const fs::path installed =
      fs::read_symlink("/proc/self/exe", error).parent_path().parent_path() / "share" / "rookery";
  const bool is_installed = fs::exists(installed / "rookery-guest", error);
  return {sources != nullptr ? sources
          : is_installed     ? installed.string()
                             : ROOKERY_SOURCE_DIR,
          is_installed ? (installed / "rookery-guest").string() : ROOKERY_GUEST_PROGRAM};
}

Result<int> run_image_build(const ImageBuildOptions& options) {
  const auto store = images::Store::open();
  if (!store) return tl::unexpected<Error>(store.error());
  const ProgramData data = program_data();
  images::BuildOptions build;
  build.name = options.name;
  build.recipes = std::filesystem::path(data.sources) / "images";
  build.guest = data.guest_program;
  build.force = options.force;
  const auto cache = cache_folder();
  if (!cache) return tl::unexpected<Error>(cache.error());
  build.cache = *cache;
  auto layers = layers_of(options.roles);
  if (!layers) return tl::unexpected<Error>(layers.error());
  build.layers = std::move(*layers);
  Progress progress(options.json ? Progress::How::quiet : Progress::How::plain);
  const auto built = images::build_image(build, *store, [&](std::string_view line) { progress.line(line); });
  if (!built) return tl::unexpected<Error>(built.error());
  const Digest256 digest = images::digest_of(built->manifest);
  if (options.json) {
    fmt::print("{}\n", to_json(built->manifest, digest).dump());
  } else {
    if (built->was_there) progress.line("nothing has changed since this image was built");
    print(built->manifest, digest);
  }
  return 0;
}

Result<int> run_image_list(bool json) {
  const auto store = images::Store::open();
  if (!store) return tl::unexpected<Error>(store.error());
  const auto stored = store->list();
  if (!stored) return tl::unexpected<Error>(stored.error());
  Json list = Json::array();
  for (const auto& image : *stored) {
    const auto manifest = store->manifest(image);
    if (!manifest) return tl::unexpected<Error>(manifest.error());
    if (json) {
      list.add(to_json(*manifest, image.manifest));
    } else {
      fmt::print("{:<20} {:<12} {} {:<4} {}\n", image.name, manifest->version, manifest->distribution.id,
                 manifest->distribution.version, to_hex(image.manifest).substr(0, 12));
    }
  }
  if (json) fmt::print("{}\n", Json::object().set("images", std::move(list)).dump());
  return 0;
}

Result<int> run_image_show(const std::string& name, bool json) {
  const auto store = images::Store::open();
  if (!store) return tl::unexpected<Error>(store.error());
  const auto image = store->find(name);
  if (!image) return tl::unexpected<Error>(image.error());
  const auto manifest = store->manifest(*image);
  if (!manifest) return tl::unexpected<Error>(manifest.error());
  if (json) {
    fmt::print("{}\n", to_json(*manifest, image->manifest).dump());
  } else {
    print(*manifest, image->manifest);
  }
  return 0;
}

Result<int> run_image_remove(const std::string& name, bool json) {
  const auto store = images::Store::open();
  if (!store) return tl::unexpected<Error>(store.error());
  ROOKERY_TRY(store->remove(name));
  if (json) {
    fmt::print("{}\n", Json::object().set("removed", name).dump());
  } else {
    fmt::print("removed {}; 'rookery image prune' frees what only it needed\n", name);
  }
  return 0;
}

Result<int> run_image_prune(bool json) {
  const auto store = images::Store::open();
  if (!store) return tl::unexpected<Error>(store.error());
  images::Store::Pruned all;
  for (all.more = true; all.more;) {
    const auto some = store->prune();
    if (!some) return tl::unexpected<Error>(some.error());
    all = {all.objects + some->objects, {all.freed.count + some->freed.count}, some->more};
  }
  if (json) {
    const Json report =
        Json::object().set("objects", Json::count(all.objects)).set("bytes", Json::count(all.freed.count));
    fmt::print("{}\n", report.dump());
  } else {
    fmt::print("removed {} files that no image needs, {} MiB\n", all.objects, all.freed.count >> 20);
  }
  return 0;
}

}  // namespace rookery::vboot
