// The commands of the image store: image build, list, show, remove, prune.
#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/digest.h"
#include "base/file.h"
#include "base/json/json.h"
#include "base/loop/host_clock.h"
#include "base/unique_fd.h"
#include "images/make/image_builder.h"
#include "images/make/own_roles.h"
#include "images/store/store.h"
#include "images/store/system_age.h"
#include "vboot/cli/commands.h"
#include "vboot/cli/progress.h"
#include "vboot/lab/role.h"

namespace rookery::vboot {
namespace {

Result<std::filesystem::path> own_roles_file(const std::string& image) {
  const auto cache = cache_folder();
  if (!cache) return tl::unexpected<Error>(cache.error());
  return *cache / "build" / ("roles-" + image);
}

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

// What an image is to have beside what each has.
struct Wanted {
  bool storage = false;
  std::map<std::string, images::LayerRecipe> layers;      // by role
  std::map<std::string, images::LayerRecipe> own_layers;  // of them, those of roles that are not shipped
};

// An image that is there keeps the parts that it has: it grows.
Status want_what_it_has(const images::Store& store, const ImageBuildOptions& options,
                        const std::map<std::string, Role>& shipped, Wanted& wanted) {
  const auto stored = store.list();
  if (!stored) return tl::unexpected<Error>(stored.error());
  const auto image = std::find_if(stored->begin(), stored->end(),
                                  [&](const auto& each) { return each.name == options.name; });
  if (image == stored->end()) return {};
  // One that cannot be read, or is of another version, is made anew.
  const auto manifest = store.manifest(*image);
  if (!manifest) return {};
  wanted.storage = wanted.storage || manifest->find(images::kLinuxUmlStorage) != nullptr;
  const auto has = [&](const std::string& role) {
    const std::string prefix = std::string(images::kLayerPrefix) + role + ".";
    return std::any_of(manifest->components.begin(), manifest->components.end(),
                       [&](const auto& component) { return component.name.starts_with(prefix); });
  };
  for (const auto& [name, role] : shipped) {
    if (has(name)) wanted.layers[name] = {name, role.packages};
  }
  const auto own_roles = own_roles_file(options.name);
  if (!own_roles) return tl::unexpected<Error>(own_roles.error());
  for (const auto& layer : images::read_own_roles(*own_roles))
    wanted.layers[layer.role] = wanted.own_layers[layer.role] = layer;
  return {};
}

// One that is asked for: a shipped one by its name, or another by its folder. One of the user's own stands
// for the shipped one of its name.
Status want_role(const std::string& word, const std::map<std::string, Role>& shipped, Wanted& wanted) {
  if (const auto found = shipped.find(word); found != shipped.end()) {
    wanted.layers[word] = {word, found->second.packages};
    wanted.own_layers.erase(word);
    return {};
  }
  auto role = read_role_folder(word);
  if (!role) return tl::unexpected<Error>(role.error());
  if (role->name == kBootServer)
    return fail(ErrorKind::usage, fmt::format("{}: the role '{}' is Rookery's own", word, kBootServer));
  if (role->packages.empty()) {
    return fail(
        ErrorKind::usage,
        fmt::format("{}: the role '{}' has no packages, and needs nothing of an image; its machines get "
                    "its files as they start",
                    word, role->name));
  }
  wanted.layers[role->name] = wanted.own_layers[role->name] = {role->name, role->packages};
  return {};
}

Result<Wanted> wanted_of(const ImageBuildOptions& options, const images::Store& store) {
  std::map<std::string, Role> shipped;  // those that have packages
  for (const std::string_view name : shipped_role_names()) {
    auto role = shipped_role("", std::string(name));
    if (!role) return tl::unexpected<Error>(role.error());
    if (*role && !(*role)->packages.empty()) shipped.emplace(name, std::move(**role));
  }
  Wanted wanted;
  wanted.storage = options.storage || options.all;
  for (const auto& [name, role] : shipped) {
    if (options.all || name == kBootServer) wanted.layers[name] = {name, role.packages};
  }
  ROOKERY_TRY(want_what_it_has(store, options, shipped, wanted));
  for (const std::string& word : options.roles) ROOKERY_TRY(want_role(word, shipped, wanted));
  return wanted;
}

// Ctrl-C and its like, which make it readable, for whoever did not come with them ignored.
Result<UniqueFd> interruptions() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(&set, number);
  }
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  UniqueFd descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor) return fail_errno("cannot watch for signals");
  return descriptor;
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
  auto wanted = wanted_of(options, *store);
  if (!wanted) return tl::unexpected<Error>(wanted.error());
  const auto stop = interruptions();
  if (!stop) return tl::unexpected<Error>(stop.error());
  const ProgramData data = program_data();
  images::BuildOptions build;
  build.name = options.name;
  build.recipes = std::filesystem::path(data.sources) / "images" / "make";
  build.guest = data.guest_program;
  build.storage = wanted->storage;
  build.force = options.force;
  build.refresh = options.refresh;
  build.stop = stop->get();
  const auto cache = cache_folder();
  if (!cache) return tl::unexpected<Error>(cache.error());
  build.cache = *cache;
  for (auto& [name, layer] : wanted->layers) build.layers.push_back(std::move(layer));
  Progress progress(options.json ? Progress::How::quiet : Progress::How::plain);
  const auto built = images::build_image(build, *store, [&](std::string_view line) { progress.line(line); });
  if (signalfd_siginfo signal; !built && ::read(stop->get(), &signal, sizeof signal) == sizeof signal) {
    fmt::print(stderr, "rookery: interrupted; what was half done is removed, and what was whole is kept\n");
    return static_cast<int>(128 + signal.ssi_signo);
  }
  if (!built) return tl::unexpected<Error>(built.error());
  std::vector<images::LayerRecipe> own;
  for (const auto& [name, layer] : wanted->own_layers) own.push_back(layer);
  const auto own_roles = own_roles_file(options.name);
  if (!own_roles) return tl::unexpected<Error>(own_roles.error());
  ROOKERY_TRY(images::write_own_roles(*own_roles, own));
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
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(host_clock::time_of_day()).count();
  Json list = Json::array();
  for (const auto& image : *stored) {
    const auto manifest = store->manifest(image);
    if (!manifest) return tl::unexpected<Error>(manifest.error());
    if (json) {
      list.add(to_json(*manifest, image.manifest)
                   .set("system_date", images::day_of(images::system_date(image, *manifest)))
                   .set("system_days", Json::count(static_cast<std::uint64_t>(
                                           images::days_since(images::system_date(image, *manifest), now)))));
    } else {
      fmt::print("{:<20} {:<12} {} {:<4} {}  {}\n", image.name, manifest->version, manifest->distribution.id,
                 manifest->distribution.version, to_hex(image.manifest).substr(0, 12),
                 images::age_in_words(image, *manifest, now));
      if (const std::string advice = images::age_advice(image, *manifest, now); !advice.empty())
        fmt::print(stderr, "rookery: {}\n", advice);
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
