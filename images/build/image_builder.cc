// How an image comes to be, each step from what is kept of the one before:
//
//   apt's mirrors --mmdebstrap--> system.tar.zst --make_root_tree--> root.tar --mksquashfs--> root.squashfs
//                                       |                      \--> vmlinuz, modules.cpio, san.cpio, busybox
//                                       \--mmdebstrap, make_layer_tree, mksquashfs--> role-*.squashfs
//   images/kernel/build --> linux-uml          rookery-guest, busybox --write_stage--> stage1.cpio,
//   stage2.cpio GRUB's packages --make_boot_loader--> grub-mbr, grub-bios, grub-uefi all of them
//   --write_medium--> the medium
//
// A step is known by the digest of its inputs. A new rookery-guest changes the stages and the medium only; a
// new file for the root the squashfs and what follows; a role's new list of packages its layer.
#include "images/build/image_builder.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>

#include "base/command.h"
#include "images/build/grub.h"
#include "images/build/kept_root.h"
#include "images/build/root_tree.h"
#include "images/build/stages.h"
#include "images/json_fields.h"
#include "images/medium.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

// To be raised when the builder makes something else of the same inputs.
constexpr std::string_view kBuilderVersion = "7";
constexpr const char* kBaseTarFile = "base.tar";  // the system that layers are laid over

tl::unexpected<Error> up(const Error& error) {
  return tl::unexpected<Error>(error);
}

// A digest over words, each with its length, so that no two lists give the same.
class Inputs {
 public:
  Inputs& add(std::string_view word) {
    hasher_.add(as_bytes(std::to_string(word.size()) + ":")).add(as_bytes(word));
    return *this;
  }
  Inputs& add(const Digest256& digest) { return add(to_hex(digest)); }
  Digest256 finish() { return hasher_.finish(); }

 private:
  Hasher hasher_{Hasher::Kind::sha256};
};

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

struct UmlKernel {
  fs::path program;
  std::string release;
  Digest256 digest{};
};

class Builder {
 public:
  Builder(const BuildOptions& options, const Store& store, const Progress& progress)
      : options_(options), store_(store), progress_(progress), folder_(options.cache / "build") {}

  Result<BuiltImage> run() {
    ROOKERY_TRY(prepare());
    ROOKERY_TRY(find_kernels());
    ROOKERY_TRY(find_system());
    ROOKERY_TRY(digest_inputs());
    if (!options_.force && !options_.refresh) {
      if (auto there = find_built()) return std::move(*there);
    }
    ROOKERY_TRY(make_root());
    ROOKERY_TRY(make_layers());
    ROOKERY_TRY(make_stages());
    return make_medium();
  }

 private:
  Status prepare();
  Result<UmlKernel> find_kernel(std::string_view variant) const;
  Status find_kernels();
  Status find_system();
  Status digest_inputs();
  std::optional<BuiltImage> find_built() const;
  Status make_root();
  Digest256 layer_inputs(const LayerRecipe& layer) const;
  Status make_layers();
  Status make_layer(const LayerRecipe& layer, const fs::path& folder);
  Status make_squashfs(const fs::path& folder, const fs::path& tar, const fs::path& squashfs) const;
  Status make_stages();
  Result<BuiltImage> make_medium();

  const BuildOptions& options_;
  const Store& store_;
  const Progress& progress_;
  const fs::path folder_;
  UniqueFd lock_;

  std::map<std::string_view, UmlKernel> uml_kernels_;  // by component name
  fs::path system_;
  std::string system_digest_;
  std::vector<ImageFile> files_;
  Digest256 root_inputs_{}, inputs_{};
  KeptRoot root_;  // its parts, to which the stages and the kernel are added later
  fs::path busybox_;
};

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
  auto files = files_below(options_.recipes / "build" / "rootfs");
  if (!files) return up(files.error());
  if (files->empty()) return fail((options_.recipes / "build" / "rootfs").string() + " is empty");
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
  return {};
}

Result<UmlKernel> Builder::find_kernel(std::string_view variant) const {
  auto folder = build_uml_kernel(options_.recipes, progress_, variant);
  if (!folder) return up(folder.error());
  UmlKernel kernel{*folder / "linux", {}, {}};
  const fs::path description = *folder / "kernel.json";
  const auto text = read_file(description, Bytes{1 << 16});
  if (!text) return up(text.error());
  const auto json = parse_json(*text);
  if (!json) return fail(description.string() + ": " + json.error().message);
  FieldReader fields(json->get(), "kernel");
  for (const char* field : {"schema", "source", "source_version", "suite", "recipe"})
    fields.text(field, kTextLimit);
  kernel.release = fields.text("release", kTextLimit);
  kernel.digest = fields.digest("sha256");
  if (auto status = fields.finish(); !status) return up(status.error());
  const auto found = sha256_of_file(kernel.program);
  if (!found) return up(found.error());
  if (*found != kernel.digest) return fail(kernel.program.string() + " is damaged; remove its folder");
  if (auto status = check_static_program(kernel.program); !status) return up(status.error());
  return kernel;
}

Status Builder::find_kernels() {
  for (const auto& [name, variant] : {std::pair{kLinuxUml, ""}, {kLinuxUmlStorage, "--storage"}}) {
    auto kernel = find_kernel(variant);
    if (!kernel) return up(kernel.error());
    uml_kernels_.emplace(name, std::move(*kernel));
  }
  return {};
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
    ROOKERY_TRY(make_debian_system(options_.debian, system_, progress_));
    const auto digest = sha256_of_file(system_);
    if (!digest) return up(digest.error());
    ROOKERY_TRY(write_file(digest_file, to_hex(*digest)));
  }
  auto digest = read_file(digest_file, Bytes{64});
  if (!digest) return up(digest.error());
  system_digest_ = std::move(*digest);
  return {};
}

Status Builder::digest_inputs() {
  Inputs root;
  root.add(kBuilderVersion).add(system_digest_);
  for (const std::string& word : squashfs_command(true, "tar", "squashfs")) root.add(word);
  for (const ImageFile& file : files_) root.add(file.path).add(std::to_string(file.mode)).add(file.content);
  root_inputs_ = root.finish();
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

std::optional<BuiltImage> Builder::find_built() const {
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
  auto work = TemporaryFolder::make(folder_, "work-");
  if (!work) return up(work.error());
  progress_("root: sorting the system's files");
  auto tree = make_root_tree(system_, files_, work->path());
  if (!tree) return up(tree.error());
  root_.tree = std::move(*tree);

  progress_("root: packing the squashfs");
  const fs::path squashfs = work->path() / std::string(kRootSquashfs);
  ROOKERY_TRY(make_squashfs(work->path(), kRootTarFile, squashfs));
  for (std::string_view name : {kRootSquashfs, kVmlinuz, kModulesCpio, kSanCpio}) {
    ROOKERY_TRY(keep(root_.parts, name, work->path() / std::string(name), store_));
  }
  fs::create_directories(kept, ignored);
  fs::rename(work->path() / kBusyboxFile, busybox_, ignored);
  if (ignored) return fail("cannot keep " + busybox_.string() + ": " + ignored.message());
  return write_kept_root(kept, root_);
}

Status Builder::make_squashfs(const fs::path& folder, const fs::path& tar, const fs::path& squashfs) const {
  Command command{squashfs_command(::geteuid() == 0, tar, squashfs), folder};
  // No date is later than this one, that of the root folder and of the file system itself too.
  command.environment["SOURCE_DATE_EPOCH"] = std::to_string(root_.tree.created);
  if (auto done = run_checked(command); !done) {
    return up(Error(done.error())
                  .while_doing("packing the squashfs (mksquashfs of the Debian package squashfs-tools)"));
  }
  return {};
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
Status Builder::make_layers() {
  std::optional<TemporaryFolder> work;
  for (const LayerRecipe& layer : options_.layers) {
    const fs::path kept = folder_ / ("layer-" + to_hex(layer_inputs(layer)).substr(0, 32));
    const std::string name = layer_component(layer.role, layer.packages);
    const auto there = kept_digest(kept);
    if (there && store_.has(*there) && !options_.force && !options_.refresh) {
      const auto object = store_.object(*there);
      if (!object) return up(object.error());
      root_.parts[name] = {*there, Bytes{fs::file_size(*object)}};
      continue;
    }
    if (!work) {
      auto made = TemporaryFolder::make(folder_, "work-");
      if (!made) return up(made.error());
      work = std::move(*made);
      // Kernel modules are most of it, and no package has anything to do with them; devices an ordinary user
      // cannot make, nor need they be.
      Command unpack{
          {"sh", "-c",
           "zstd -dcq \"$1\" | tar --delete -f - --wildcards './dev/*' './usr/lib/modules/*' >\"$2\"", "sh",
           system_.string(), (work->path() / kBaseTarFile).string()},
          {}};
      if (auto done = run_checked(unpack); !done) return up(done.error());
    }
    if (auto made = make_layer(layer, work->path()); !made)
      return up(Error(made.error()).while_doing("the packages of the role '" + layer.role + "'"));
    ROOKERY_TRY(write_file(kept, to_hex(root_.parts.find(name)->second.sha256)));
  }
  return {};
}

Status Builder::make_layer(const LayerRecipe& layer, const fs::path& folder) {
  const std::string name = layer_component(layer.role, layer.packages);
  progress_("layer " + name + ": installing the packages over the system");
  const fs::path base = folder / kBaseTarFile, extended = folder / "extended.tar",
                 difference = folder / "layer.tar", squashfs = folder / name;
  ROOKERY_TRY(extend_debian_system(options_.debian, layer.role, layer.packages, base, extended, progress_));
  progress_("layer " + name + ": packing what they add");
  ROOKERY_TRY(make_layer_tree(name, base, extended, files_, root_.tree.created, difference));
  ROOKERY_TRY(make_squashfs(folder, difference, squashfs));
  ROOKERY_TRY(keep(root_.parts, name, squashfs, store_));
  for (const fs::path& file : {extended, difference, squashfs}) fs::remove(file);
  return {};
}

Status Builder::make_stages() {
  auto work = TemporaryFolder::make(folder_, "work-");
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
  std::vector<std::string> names;
  for (std::string_view name : {kRootSquashfs, kLinuxUml, kLinuxUmlStorage, kVmlinuz, kModulesCpio, kSanCpio,
                                kStageOneCpio, kStageTwoCpio, kGrubMbr, kGrubBios, kGrubUefi})
    names.emplace_back(name);
  for (const LayerRecipe& layer : options_.layers)
    names.push_back(layer_component(layer.role, layer.packages));
  for (const std::string& name : names) {
    const Part& part = root_.parts.find(name)->second;
    manifest.components.push_back({name, "rookery/" + name, part.sha256, part.size});
    auto object = store_.object(part.sha256);
    if (!object) return up(object.error());
    files[name] = std::move(*object);
  }
  progress_("medium: writing it");
  auto work = TemporaryFolder::make(folder_, "work-");
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
  ROOKERY_TRY(store_.put(manifest, *digest, inputs_));
  progress_("image " + manifest.name + " " + manifest.version + " is in the store");
  return BuiltImage{std::move(manifest), std::move(*path), false};
}

}  // namespace

std::vector<std::string> squashfs_command(bool as_root, const fs::path& tar, const fs::path& destination) {
  std::vector<std::string> argv;
  // mksquashfs gives the root folder of a tar to whoever runs it, whatever -root-uid says.
  if (!as_root) argv = {"unshare", "--map-root-user"};
  argv.insert(argv.end(), {"sh", "-c", "tar=$1; shift; exec \"$@\" <\"$tar\"", "sh", tar.string()});
  // 128 KiB is what squashfs reads and unpacks at a time: larger ones are 5 % smaller in all, but a client
  // that wants one page pays for the whole block. Level 9 is five times as fast to build as 15, for 7 % more,
  // and unpacks alike.
  // With the table that NFS needs to serve it, which is not the default for a tar.
  argv.insert(argv.end(),
              {"mksquashfs", "-", destination.string(), "-tar", "-comp", "zstd", "-Xcompression-level", "9",
               "-b", "128K", "-root-mode", "0755", "-exports", "-noappend", "-quiet", "-no-progress"});
  return argv;
}

Result<BuiltImage> build_image(const BuildOptions& options, const Store& store, const Progress& progress) {
  return Builder(options, store, progress).run();
}

Result<fs::path> build_uml_kernel(const fs::path& recipes, const Progress& progress,
                                  std::string_view variant) {
  Command command{{(recipes / "kernel" / "build").string()}, {}};
  if (!variant.empty()) command.argv.emplace_back(variant);
  command.on_line = progress;
  auto done = run_checked(command);
  if (!done) return up(Error(done.error()).while_doing("building the User-Mode Linux kernel"));
  std::string folder = done->output.substr(0, done->output.find('\n'));
  if (folder.empty() || !fs::exists(fs::path(folder) / "linux")) {
    return fail("images/kernel/build gave no kernel, but \"" + folder + "\"");
  }
  return fs::path(folder);
}

}  // namespace rookery::images
