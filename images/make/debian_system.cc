#include "images/make/debian_system.h"

#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <set>
#include <sstream>

#include "base/command.h"
#include "base/digest.h"
#include "base/file.h"
#include "images/make/leftovers.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

constexpr const char* kKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
// The day of Debian 12's release: what mmdebstrap itself makes is dated so.
constexpr const char* kSystemDate = "1686355200";
// A whole system needs the ids up to "nobody", 65534.
constexpr unsigned long kIdsNeeded = 65535;

// Unpacks the kernel beside apt, moves its modules to their place in the merged /usr, and notes what it was.
// $1 is the system's root; PACKAGE becomes the kernel's metapackage.
constexpr const char* kKernelHook = R"sh(set -eu
apt="apt-get -qq -o APT::Sandbox::User=root"
kernel=$(chroot "$1" apt-cache depends PACKAGE | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
mkdir "$1/kernel"
chroot "$1" sh -c "cd /kernel && $apt download $kernel"
dpkg-deb -x "$1"/kernel/linux-image-*.deb "$1/kernel/x"
version=$(ls "$1/kernel/x/lib/modules")
mkdir -p "$1/usr/lib/modules" "$1/boot"
mv "$1/kernel/x/lib/modules/$version" "$1/usr/lib/modules/"
mv "$1/kernel/x/boot/vmlinuz-$version" "$1/boot/"
chroot "$1" depmod "$version"
echo "$kernel $(dpkg-deb -f "$1"/kernel/linux-image-*.deb Version) $(stat -c %Y "$1/boot/vmlinuz-$version")" >"$1/rookery-kernel"
rm -r "$1/kernel"
)sh";

// Unpacks the storage packages over the system, and lays aside what a machine needs to reach an iSCSI disk
// before it has a root: iscsistart and the libraries that it is linked with.
constexpr const char* kStorageHook = R"sh(set -eu
mkdir "$1/storage"
chroot "$1" sh -c "cd /storage && apt-get -qq -o APT::Sandbox::User=root download PACKAGES"
for package in "$1"/storage/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$1" --keep-directory-symlink --exclude=./etc --exclude=./lib/systemd \
    --exclude='./usr/share/doc/*/[!c]*' --exclude='./usr/share/doc/*/changelog*' --exclude=./usr/share/man
  echo "$(dpkg-deb -f "$package" Package) $(dpkg-deb -f "$package" Version)" >>"$1/rookery-unpacked"
done
rm -r "$1/storage"
for file in /sbin/iscsistart $(chroot "$1" ldd /sbin/iscsistart | grep -o '/[^ ]*'); do
  mkdir -p "$1/rookery-san$(dirname "$file")"
  cp -L "$1$file" "$1/rookery-san$file"
done
)sh";

// Numbers for the users and groups that the new packages of a system make: adduser's, and those of useradd
// and systemd-sysusers.
constexpr const char* kExtendHook = R"sh(for id in UID GID; do
  printf '%s\n' "FIRST_SYSTEM_$id=$first" "LAST_SYSTEM_$id=$last" >>"$1/etc/adduser.conf"
  printf '%s\n' "SYS_${id}_MIN $first" "SYS_${id}_MAX $last" >>"$1/etc/login.defs"
done
)sh";
// Of Debian's range for these, 100 to 999 (Policy §9.2.2): 38 ranges of 20, behind what the system has
// itself.
constexpr unsigned kFirstId = 200, kIdsOfRole = 20, kIdRanges = 38;

std::string joined(const std::vector<std::string>& words, char with = ',') {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? word : with + word);
  return text;
}

void replace(std::string& text, std::string_view word, std::string_view by) {
  text.replace(text.find(word), word.size(), by);
}

// Nobody reads manuals on a diskless node. The copyright notes stay: whoever passes an image on owes them.
// Of iPXE the small programs that a boot server serves, not the images of whole disks.
void leave_out_manuals(std::vector<std::string>& argv) {
  for (const char* left_out :
       {"/usr/lib/ipxe/ipxe.*", "/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*",
        "/usr/share/locale/*", "/usr/share/lintian/*", "/usr/share/bash-completion/*"}) {
    argv.push_back(std::string("--dpkgopt=path-exclude=") + left_out);
  }
  argv.push_back("--dpkgopt=path-include=/usr/share/doc/*/copyright");
}

Status check_tools(bool as_root) {
  const std::pair<const char*, const char*> tools[] = {
      {"mmdebstrap", "mmdebstrap"}, {"apt-get", "apt"}, {"dpkg-deb", "dpkg"}, {"zstd", "zstd"}};
  for (const auto& [tool, package] : tools) {
    if (auto found = find_program(tool, package); !found) return tl::unexpected<Error>(found.error());
  }
  if (::access(kKeyring, R_OK) != 0) {
    return fail(std::string(kKeyring) + " is missing; it is in the Debian package debian-archive-keyring");
  }
  if (as_root) return {};
  if (auto found = find_program("newuidmap", "uidmap"); !found) return tl::unexpected<Error>(found.error());
  const passwd* user = ::getpwuid(::getuid());
  const std::string name = user != nullptr ? user->pw_name : std::to_string(::getuid());
  for (const char* file : {"/etc/subuid", "/etc/subgid"}) {
    const auto entries = read_file(file);
    if (entries && has_subordinate_ids(*entries, name, ::getuid())) continue;
    return fail(
        std::string(file) + " gives the user " + name +
        " no ids to build a system with; as root, once: usermod --add-subuids 100000-165535 --add-subgids "
        "100000-165535 " +
        name + " (or another free range of 65,536)");
  }
  return {};
}

// The machine's own proxies and certificates, which mmdebstrap's apt would not know.
Result<std::vector<std::string>> apt_options() {
  const auto dump = run_checked({{"apt-config", "dump", "--no-empty", "--format", "%f \"%v\";%n"}, {}});
  if (!dump) return tl::unexpected<Error>(dump.error());
  std::vector<std::string> options;
  std::istringstream lines(dump->output);
  for (std::string line; std::getline(lines, line);) {
    const bool proxy = line.starts_with("Acquire::http") && line.find("::Proxy") != std::string::npos;
    if (proxy || line.starts_with("Acquire::https::CaInfo")) options.push_back(line);
  }
  return options;
}

}  // namespace

Result<std::vector<std::string>> debian_sources(std::string_view index_targets, std::string_view suite) {
  std::vector<std::string> lines;
  std::set<std::string> seen, mirrors;
  std::istringstream targets{std::string(index_targets)};
  const auto add = [&](const std::string& mirror, const std::string& release) {
    const std::string line =
        std::string("deb [signed-by=") + kKeyring + "] " + mirror + " " + release + " main";
    if (seen.insert(line).second) lines.push_back(line);
  };
  bool complete = false;
  for (std::string created_by, component, release, mirror;
       targets >> created_by >> component >> release >> mirror;) {
    if (created_by != "Packages" || component != "main") continue;
    const std::string wanted(suite);
    if (release == wanted || release == wanted + "-updates" || release == wanted + "-security")
      add(mirror, release);
    complete = complete || release == wanted;
    if (release.find('-') == std::string::npos) mirrors.insert(mirror);
  }
  if (complete) return lines;
  // A machine of another release: its mirror has this suite as well.
  for (const std::string& mirror : mirrors) add(mirror, std::string(suite));
  if (lines.empty()) return fail("apt on this machine is configured with no Debian mirror");
  return lines;
}

std::vector<std::string> mmdebstrap_command(const DebianRecipe& recipe, bool as_root,
                                            const std::vector<std::string>& apt_options,
                                            const fs::path& sources, const fs::path& destination) {
  std::vector<std::string> argv = {"mmdebstrap", as_root ? "--mode=root" : "--mode=unshare",
                                   "--variant=minbase", "--architectures=amd64",
                                   "--include=" + joined(recipe.packages)};
  leave_out_manuals(argv);
  for (const std::string& option : apt_options) argv.push_back("--aptopt=" + option);
  std::string kernel = kKernelHook, storage = kStorageHook;
  replace(kernel, "PACKAGE", recipe.kernel);
  replace(storage, "PACKAGES", joined(recipe.unpacked, ' '));
  argv.push_back("--customize-hook=" + kernel);
  argv.push_back("--customize-hook=" + storage);
  argv.insert(argv.end(), {recipe.suite, destination.string(), sources.string()});
  return argv;
}

std::vector<std::string> extend_command(const DebianRecipe& recipe, std::string_view role,
                                        const std::vector<std::string>& packages, bool as_root,
                                        const std::vector<std::string>& apt_options, const fs::path& base_tar,
                                        const fs::path& sources, const fs::path& destination) {
  const unsigned first = kFirstId + sha256(as_bytes(role)).front() % kIdRanges * kIdsOfRole;
  const std::string ids =
      "first=" + std::to_string(first) + " last=" + std::to_string(first + kIdsOfRole - 1) + "\n";
  std::vector<std::string> argv = {"mmdebstrap",
                                   as_root ? "--mode=root" : "--mode=unshare",
                                   "--variant=custom",
                                   "--architectures=amd64",
                                   "--include=" + joined(packages),
                                   "--setup-hook=tar-in \"" + base_tar.string() + "\" /",
                                   "--setup-hook=" + ids + kExtendHook};
  leave_out_manuals(argv);
  for (const std::string& option : apt_options) argv.push_back("--aptopt=" + option);
  argv.insert(argv.end(), {recipe.suite, destination.string(), sources.string()});
  return argv;
}

bool has_subordinate_ids(std::string_view entries, std::string_view user, unsigned uid) {
  std::istringstream lines{std::string(entries)};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':'), last = line.rfind(':');
    if (first == std::string::npos || first == last) continue;
    const std::string_view owner = std::string_view(line).substr(0, first);
    unsigned long count = 0;
    std::from_chars(line.data() + last + 1, line.data() + line.size(), count);
    if ((owner == user || owner == std::to_string(uid)) && count >= kIdsNeeded) return true;
  }
  return false;
}

namespace {

// Gives mmdebstrap's words for apt's options, the file of sources and the tar to make.
using CommandOf = std::function<std::vector<std::string>(const std::vector<std::string>&, const fs::path&,
                                                         const fs::path&)>;

Status run_mmdebstrap(const DebianRecipe& recipe, const fs::path& destination, const CommandOf& command_of,
                      const Progress& progress, int stop) {
  ROOKERY_TRY(check_tools(::geteuid() == 0));
  const auto targets = run_checked({{"apt-get", "indextargets", "--format", kIndexTargetsFormat}, {}});
  if (!targets) return tl::unexpected<Error>(targets.error());
  const auto sources = debian_sources(targets->output, recipe.suite);
  if (!sources) return tl::unexpected<Error>(sources.error());
  const auto options = apt_options();
  if (!options) return tl::unexpected<Error>(options.error());
  auto folder = TemporaryFolder::make(destination.parent_path(), kSystemPrefix);
  if (!folder) return tl::unexpected<Error>(folder.error());
  std::string text;
  for (const std::string& line : *sources) text += line + "\n";
  const fs::path sources_file = folder->path() / "sources", tar = folder->path() / destination.filename();
  ROOKERY_TRY(write_file(sources_file, text));

  Command command{command_of(*options, sources_file, tar), {}};
  command.stop = stop;
  command.environment = {
      {"SOURCE_DATE_EPOCH", kSystemDate}, {"LC_ALL", "C.UTF-8"}, {"DEBIAN_FRONTEND", "noninteractive"}};
  command.on_line = [&](std::string_view line) {
    // "I: …" are mmdebstrap's own steps; the rest is apt's and dpkg's chatter.
    if (line.starts_with("I: ")) progress("system: " + std::string(line.substr(3)));
  };
  if (auto done = run_checked(command); !done) {
    return tl::unexpected<Error>(
        Error(done.error()).while_doing("making the Debian system (Debian package mmdebstrap)"));
  }
  std::error_code error;
  fs::rename(tar, destination, error);
  if (error) return fail("cannot rename to " + destination.string() + ": " + error.message());
  return {};
}

}  // namespace

Status make_debian_system(const DebianRecipe& recipe, const fs::path& destination, const Progress& progress,
                          int stop) {
  return run_mmdebstrap(
      recipe, destination,
      [&](const auto& options, const fs::path& sources, const fs::path& tar) {
        return mmdebstrap_command(recipe, ::geteuid() == 0, options, sources, tar);
      },
      progress, stop);
}

Status extend_debian_system(const DebianRecipe& recipe, std::string_view role,
                            const std::vector<std::string>& packages, const fs::path& base_tar,
                            const fs::path& destination, const Progress& progress, int stop) {
  return run_mmdebstrap(
      recipe, destination,
      [&](const auto& options, const fs::path& sources, const fs::path& tar) {
        return extend_command(recipe, role, packages, ::geteuid() == 0, options, base_tar, sources, tar);
      },
      progress, stop);
}

}  // namespace rookery::images
