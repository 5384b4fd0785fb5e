// How an image comes to be, each step from what is kept of the one before:
//
//   apt's mirrors --mmdebstrap--> system.tar.zst --make_root_tree--> root.tar --mksquashfs--> root.squashfs
//                                       |                      \--> vmlinuz, modules.cpio, san.cpio, busybox
//                                       \--mmdebstrap, make_layer_tree, mksquashfs--> role-*.squashfs
//   images/make/kernel/build --> linux-uml          rookery-guest, busybox --write_stage--> stage1.cpio,
//   stage2.cpio GRUB's packages --make_boot_loader--> grub-mbr, grub-bios, grub-uefi all of them
//   --write_medium--> the medium
//
// Kernels are made beside all else, layers two at a time. A step is known by the digest of its inputs. A new
// rookery-guest changes the stages and the medium only; a new file for the root the squashfs and what
// follows; a role's new list of packages its layer.
#include "images/make/image_builder.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <future>
#include <map>
#include <optional>

#include "base/command.h"
#include "images/make/grub.h"
#include "images/make/inputs.h"
#include "images/make/kept_root.h"
#include "images/make/leftovers.h"
#include "images/make/phases.h"
#include "images/make/root_tree.h"
#include "images/make/squashfs.h"
#include "images/make/stages.h"
#include "images/make/uml_kernel.h"
#include "images/medium/medium.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

// To be raised when the builder makes something else of the same inputs.
constexpr std::string_view kBuilderVersion = "7";
constexpr const char* kBaseTarFile = "base.tar";  // the system that layers are laid over
constexpr std::size_t kLayersAtOnce = 2;          // installing packages has work for one processor
constexpr Duration kQuiet = std::chrono::seconds(20);

tl::unexpected<Error> up(const Error& error) {
  return tl::unexpected<Error>(error);
}

Status keep(Parts& parts, std::string_view name, const fs::path& file, const Store& store,
            bool executable = false) {
  const auto digest = store.add_file(file, executable);
  if (!digest) return up(digest.error());
  parts[std::string(name)] = {*digest, Bytes{fs::file_size(file)}};
  return {};
}

std::optional<Digest256> kept_digest(const fs::path& file) {
  const auto text = read_file(file, Bytes{64});
  const auto bytes = text ? from_hex(*text) : fail("");
  Digest256 digest{};
  if (!bytes || bytes->size() != digest.size()) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), digest.begin());
  return digest;
}

using UmlKernels = std::map<std::string_view, UmlKernel>;  // by component name

class Builder {
 public:
  Builder(const BuildOptions& options, const Store& store, const Progress& progress)
      : options_(options), store_(store), phases_(progress, kQuiet), folder_(options.cache / "build") {}

  Result<BuiltImage> run() {
    ROOKERY_TRY(prepare());
    // Waited for wherever this is left. The child of a thread dies with it: it stays until the kernels are
    // there.
    auto kernels = std::async(std::launch::async, [this] { return find_kernels(); });
    if (auto made = make_systems(); !made) {
      if (kernels.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
        progress_(made.error().message + "\nthe kernel goes on being made, and is kept for the next build");
      return up(made.error());
    }
    auto found = kernels.get();
    if (!found) return up(found.error());
    uml_kernels_ = std::move(*found);
    ROOKERY_TRY(digest_inputs());
    if (!options_.force && !options_.refresh) {
      if (auto there = find_built()) return std::move(*there);
    }
    ROOKERY_TRY(make_stages());
    return make_medium();
  }

 private:
  Status prepare();
  Result<UmlKernels> find_kernels();
  Status make_systems();
  Status find_system();
  Status digest_inputs();
  std::optional<BuiltImage> find_built();
  Status make_root();
  Digest256 layer_inputs(const LayerRecipe& layer) const;
  fs::path layer_note(const LayerRecipe& layer) const;
  Status make_layers();
  Result<Part> make_layer(const LayerRecipe& layer, const fs::path& base);
  Status make_layers_of(const std::vector<const LayerRecipe*>& missing);
  Status make_stages();
  Result<BuiltImage> make_medium();
  std::vector<std::string> component_names() const;
  // An Error when the build is to end.
  Status go_on() const;

  const BuildOptions& options_;
  const Store& store_;
  Phases phases_;
  const Progress progress_ = [this](std::string_view line) { phases_.line(line); };
  const fs::path folder_;
  UniqueFd lock_;

  UmlKernels uml_kernels_;
  fs::path system_;
  std::string system_digest_;
  std::int64_t system_made_ = 0;  // seconds since 1970
  std::vector<ImageFile> files_;
  Digest256 root_inputs_{}, inputs_{};
  KeptRoot root_;  // its parts, to which the stages and the kernel are added later
  fs::path busybox_;
};

Status Builder::go_on() const {
  pollfd stop{options_.stop, POLLIN, 0};
  if (options_.stop >= 0 && ::poll(&stop, 1, 0) > 0) return fail("the build was interrupted");
  return {};
}

Status Builder::prepare() {
  if (!is_name(options_.name)) {
    return fail(ErrorKind::usage,
                "\"" + options_.name + "\" cannot name an image: a-z, 0-9, '.', '_' and '-' can");
  }
  if (auto status = check_static_program(options_.guest); !status) {
    return tl::unexpected<Error>(Error(status.error()).while_doing("the guest program"));
  }
  for (const auto& [tool, package] : {std::pair{"mksquashfs", "squashfs-tools"}, {"xorriso", "xorriso"}}) {
    if (auto found = find_program(tool, package); !found) return up(found.error());
  }
  auto files = files_below(options_.recipes / "rootfs");
  if (!files) return up(files.error());
  if (files->empty()) return fail((options_.recipes / "rootfs").string() + " is empty");
  files_ = std::move(*files);
  files_.insert(files_.end(), options_.extra_files.begin(), options_.extra_files.end());

  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return fail("cannot make " + folder_.string() + ": " + error.message());
  lock_.reset(::open((folder_ / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_) return fail_errno("cannot open the lock in " + folder_.string());
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    progress_("waiting for another build");
    if (::flock(lock_.get(), LOCK_EX) != 0) return fail_errno("cannot lock " + folder_.string());
  }
  remove_work_folders(folder_);  // of builds that were killed: the lock is ours
  return {};
}

// The one for storage first: images/make/kernel/build then makes both of one source.
Result<UmlKernels> Builder::find_kernels() {
  const Phases::Running running(phases_, options_.storage ? "kernels" : "kernel");
  UmlKernels kernels;
  for (const bool storage : {true, false}) {
    if (storage && !options_.storage) continue;
    auto kernel = make_uml_kernel({options_.recipes, storage, options_.refresh, options_.stop}, progress_);
    if (!kernel) return up(kernel.error());
    kernels.emplace(storage ? kLinuxUmlStorage : kLinuxUml, std::move(*kernel));
  }
  return kernels;
}

Status Builder::make_systems() {
  ROOKERY_TRY(find_system());
  ROOKERY_TRY(make_root());
  return make_layers();
}

Status Builder::find_system() {
  const auto command = mmdebstrap_command(options_.debian, false, {}, "sources", "destination");
  Inputs inputs;
  for (const std::string& word : command) inputs.add(word);
  const std::string name = "system-" + to_hex(inputs.finish()).substr(0, 32);
  system_ = folder_ / (name + ".tar.zst");
  // The digest is written last: with it, the tar is whole.
  const fs::path digest_file = folder_ / (name + ".sha256");
  if (!fs::exists(digest_file) || !fs::exists(system_) || options_.refresh) {
    std::error_code ignored;
    fs::remove(digest_file, ignored);
    const Phases::Running running(phases_, "Debian");
    ROOKERY_TRY(make_debian_system(options_.debian, system_, progress_, options_.stop));
    const auto digest = sha256_of_file(system_);
    if (!digest) return up(digest.error());
    ROOKERY_TRY(write_file(digest_file, to_hex(*digest)));
  }
  auto digest = read_file(digest_file, Bytes{64});
  if (!digest) return up(digest.error());
  system_digest_ = std::move(*digest);
  std::error_code ignored;
  fs::last_write_time(digest_file, fs::file_time_type::clock::now(), ignored);
  prune_systems(folder_, name);
  struct stat made {};
  if (::stat(system_.c_str(), &made) == 0) system_made_ = made.st_mtim.tv_sec;

  Inputs root;
  root.add(kBuilderVersion).add(system_digest_);
  for (const std::string& word : squashfs_command(true, "tar", "squashfs")) root.add(word);
  for (const ImageFile& file : files_) root.add(file.path).add(std::to_string(file.mode)).add(file.content);
  root_inputs_ = root.finish();
  return {};
}

Status Builder::digest_inputs() {
  const auto guest = sha256_of_file(options_.guest);
  if (!guest) return up(guest.error());
  const auto grub = grub_digest();
  if (!grub) return up(grub.error());
  Inputs all;
  all.add(kManifestSchema).add(options_.name).add(root_inputs_);
  for (const LayerRecipe& layer : options_.layers) all.add(layer.role).add(layer_inputs(layer));
  for (const auto& [name, kernel] : uml_kernels_) all.add(kernel.digest);
  inputs_ = all.add(*guest).add(*grub).finish();
  return {};
}

std::optional<BuiltImage> Builder::find_built() {
  const auto image = store_.find(options_.name);
  if (!image || image->name != options_.name || image->inputs != inputs_) return std::nullopt;
  auto manifest = store_.manifest(*image);
  auto medium = store_.object(image->medium);
  if (!manifest || !medium) return std::nullopt;
  progress_("image " + options_.name + " is there, and nothing that it is made of has changed");
  return BuiltImage{std::move(*manifest), std::move(*medium), true};
}

Status Builder::make_root() {
  const fs::path kept = folder_ / ("root-" + to_hex(root_inputs_).substr(0, 32));
  busybox_ = kept / kBusyboxFile;
  if (auto there = read_kept_root(kept, store_); there && !options_.force) {
    root_ = std::move(*there);
    return {};
  }
  // Roots of other inputs would only pile up.
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (entry.path().filename().string().starts_with("root-")) fs::remove_all(entry.path(), ignored);
  }
  const Phases::Running running(phases_, "root");
  auto work = TemporaryFolder::make(folder_, kWorkPrefix);
  if (!work) return up(work.error());
  progress_("root: sorting the system's files");
  auto tree = make_root_tree(system_, files_, work->path());
  if (!tree) return up(tree.error());
  root_.tree = std::move(*tree);

  progress_("root: packing the squashfs");
  const fs::path squashfs = work->path() / std::string(kRootSquashfs);
  ROOKERY_TRY(go_on());
  ROOKERY_TRY(make_squashfs(work->path(), kRootTarFile, squashfs, root_.tree.created, options_.stop));
  for (std::string_view name : {kRootSquashfs, kVmlinuz, kModulesCpio, kSanCpio}) {
    ROOKERY_TRY(keep(root_.parts, name, work->path() / std::string(name), store_));
  }
  fs::create_directories(kept, ignored);
  fs::rename(work->path() / kBusyboxFile, busybox_, ignored);
  if (ignored) return fail("cannot keep " + busybox_.string() + ": " + ignored.message());
  return write_kept_root(kept, root_);
}

// Of what a layer is made. What the image has of its own it does not have: of that only the places count.
Digest256 Builder::layer_inputs(const LayerRecipe& layer) const {
  Inputs inputs;
  inputs.add(kBuilderVersion).add(system_digest_);
  for (const std::string& word :
       extend_command(options_.debian, layer.role, layer.packages, true, {}, "base", "sources", "layer"))
    inputs.add(word);
  for (const std::string& word : squashfs_command(true, "tar", "squashfs")) inputs.add(word);
  for (const ImageFile& file : files_) inputs.add(file.path);
  return inputs.finish();
}

// A small file tells which object of the store a layer is.
fs::path Builder::layer_note(const LayerRecipe& layer) const {
  return folder_ / ("layer-" + to_hex(layer_inputs(layer)).substr(0, 32));
}

Status Builder::make_layers() {
  std::vector<const LayerRecipe*> missing;
  for (const LayerRecipe& layer : options_.layers) {
    const auto there = kept_digest(layer_note(layer));
    if (there && store_.has(*there) && !options_.force && !options_.refresh) {
      const auto object = store_.object(*there);
      if (!object) return up(object.error());
      root_.parts[layer_component(layer.role, layer.packages)] = {*there, Bytes{fs::file_size(*object)}};
    } else {
      missing.push_back(&layer);
    }
  }
  if (missing.empty()) return {};
  const Phases::Running running(phases_, missing.size() == 1 ? "layer" : "layers");
  return make_layers_of(missing);
}

Status Builder::make_layers_of(const std::vector<const LayerRecipe*>& missing) {
  auto work = TemporaryFolder::make(folder_, kWorkPrefix);
  if (!work) return up(work.error());
  // Kernel modules are most of it, and no package has anything to do with them; devices an ordinary user
  // cannot make, nor need they be.
  const fs::path base = work->path() / kBaseTarFile;
  Command unpack{
      {"sh", "-c", "zstd -dcq \"$1\" | tar --delete -f - --wildcards './dev/*' './usr/lib/modules/*' >\"$2\"",
       "sh", system_.string(), base.string()},
      {}};
  unpack.stop = options_.stop;
  if (auto done = run_checked(unpack); !done) return up(done.error());

  for (std::size_t next = 0; next < missing.size();) {
    std::vector<std::pair<const LayerRecipe*, std::future<Result<Part>>>> making;
    for (; next < missing.size() && making.size() < kLayersAtOnce; ++next) {
      const LayerRecipe* layer = missing[next];
      making.emplace_back(layer,
                          std::async(std::launch::async, [=, this] { return make_layer(*layer, base); }));
    }
    for (auto& [layer, part] : making) {  // if one fails, the other is waited for
      const auto made = part.get();
      if (!made) return up(Error(made.error()).while_doing("the packages of the role '" + layer->role + "'"));
      root_.parts[layer_component(layer->role, layer->packages)] = *made;
      ROOKERY_TRY(write_file(layer_note(*layer), to_hex(made->sha256)));
    }
  }
  return {};
}

Result<Part> Builder::make_layer(const LayerRecipe& layer, const fs::path& base) {
  const std::string name = layer_component(layer.role, layer.packages);
  auto work = TemporaryFolder::make(folder_, kWorkPrefix);
  if (!work) return up(work.error());
  progress_("layer " + name + ": installing the packages over the system");
  const fs::path extended = work->path() / "extended.tar", difference = work->path() / "layer.tar",
                 squashfs = work->path() / name;
  ROOKERY_TRY(extend_debian_system(options_.debian, layer.role, layer.packages, base, extended, progress_,
                                   options_.stop));
  progress_("layer " + name + ": packing what they add");
  ROOKERY_TRY(make_layer_tree(name, base, extended, files_, root_.tree.created, difference));
  ROOKERY_TRY(go_on());
  ROOKERY_TRY(make_squashfs(work->path(), difference, squashfs, root_.tree.created, options_.stop));
  const auto digest = store_.add_file(squashfs);
  if (!digest) return up(digest.error());
  return Part{*digest, Bytes{fs::file_size(squashfs)}};
}

Status Builder::make_stages() {
  const Phases::Running running(phases_, "stages");
  ROOKERY_TRY(go_on());
  auto work = TemporaryFolder::make(folder_, kWorkPrefix);
  if (!work) return up(work.error());
  const std::pair<int, std::string_view> stages[] = {{1, kStageOneCpio}, {2, kStageTwoCpio}};
  for (const auto& [stage, name] : stages) {
    const fs::path file = work->path() / std::string(name);
    ROOKERY_TRY(write_stage(stage, options_.guest, busybox_, root_.tree.created, file));
    ROOKERY_TRY(keep(root_.parts, name, file, store_));
  }
  ROOKERY_TRY(make_boot_loader(work->path(), root_.tree.created));
  for (std::string_view name : {kGrubMbr, kGrubBios, kGrubUefi})
    ROOKERY_TRY(keep(root_.parts, name, work->path() / std::string(name), store_));
  for (const auto& [name, kernel] : uml_kernels_)
    ROOKERY_TRY(keep(root_.parts, name, kernel.program, store_, true));
  return {};
}

std::vector<std::string> Builder::component_names() const {
  std::vector<std::string> names{std::string(kRootSquashfs)};
  for (const auto& [name, kernel] : uml_kernels_) names.emplace_back(name);
  for (std::string_view name :
       {kVmlinuz, kModulesCpio, kSanCpio, kStageOneCpio, kStageTwoCpio, kGrubMbr, kGrubBios, kGrubUefi})
    names.emplace_back(name);
  for (const LayerRecipe& layer : options_.layers)
    names.push_back(layer_component(layer.role, layer.packages));
  return names;
}

Result<BuiltImage> Builder::make_medium() {
  Manifest manifest;
  manifest.name = options_.name;
  const std::time_t created = root_.tree.created;
  std::tm date{};
  ::gmtime_r(&created, &date);
  char day[16];
  std::strftime(day, sizeof day, "%Y%m%d", &date);
  manifest.version = options_.debian.version + "." + day + "-" + to_hex(inputs_).substr(0, 8);
  manifest.distribution = {options_.debian.id, options_.debian.version, root_.tree.packages};
  manifest.created = root_.tree.created;
  for (const auto& [name, kernel] : uml_kernels_)
    manifest.kernels.push_back({std::string(name), kernel.release});
  manifest.kernels.push_back({std::string(kVmlinuz), root_.tree.kernel_version});
  std::map<std::string, fs::path> files;
  for (const std::string& name : component_names()) {
    const Part& part = root_.parts.find(name)->second;
    manifest.components.push_back({name, "rookery/" + name, part.sha256, part.size});
    auto object = store_.object(part.sha256);
    if (!object) return up(object.error());
    files[name] = std::move(*object);
  }
  const Phases::Running running(phases_, "medium");
  ROOKERY_TRY(go_on());
  progress_("medium: writing it");
  auto work = TemporaryFolder::make(folder_, kWorkPrefix);
  if (!work) return up(work.error());
  const fs::path medium = work->path() / "medium.iso";
  ROOKERY_TRY(write_medium(manifest, files, medium));
  const auto digest = store_.add_file(medium);
  if (!digest) return up(digest.error());
  auto path = store_.object(*digest);
  if (!path) return up(path.error());
  // The medium is what machines start from: it is read back before a name points to it.
  const auto opened = Medium::open(*path);
  if (!opened) return up(opened.error());
  ROOKERY_TRY(opened->verify());
  ROOKERY_TRY(go_on());
  ROOKERY_TRY(store_.put(manifest, *digest, inputs_, system_made_));
  progress_("image " + manifest.name + " " + manifest.version + " is in the store");
  return BuiltImage{std::move(manifest), std::move(*path), false};
}

}  // namespace

Result<BuiltImage> build_image(const BuildOptions& options, const Store& store, const Progress& progress) {
  return Builder(options, store, progress).run();
}

}  // namespace rookery::images
