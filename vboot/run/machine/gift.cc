#include "vboot/run/machine/gift.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/digest.h"
#include "base/file.h"
#include "images/make/archive_writer.h"
#include "vboot/lab/problems.h"

namespace rookery::vboot {
namespace {

namespace fs = std::filesystem;
using images::ImageFile;

constexpr std::string_view kPackageFolder = "run/rookery/inject";
constexpr std::string_view kPackageMagic = "!<arch>\n";  // deb(5)

// A link that stands where a folder is said to be stays one: /bin is such a link in Debian. Maintainer
// scripts have nobody to ask, and no service to start.
constexpr const char* kScript = R"sh(umask 022
fail() { echo "$*" >&2; exit 1; }
tar -C / --no-same-owner --no-overwrite-dir --keep-directory-symlink -xpf - 2>/run/rookery/inject.log ||
  fail "the files could not be unpacked: $(tail -n 1 /run/rookery/inject.log)"
if [ -d /run/rookery/inject ]; then
  export DEBIAN_FRONTEND=noninteractive
  dpkg --force-unsafe-io --force-confold -i /run/rookery/inject/*.deb >>/run/rookery/inject.log 2>&1 </dev/null || {
    why=$(grep -E 'depends on|pre-dependency|is not installed|conflicts|trying to overwrite|not support|^dpkg: error|subprocess' /run/rookery/inject.log |
      tr -s ' \n' ' ' | cut -c 1-400)
    fail "dpkg could not install the packages: ${why:-$(tail -n 1 /run/rookery/inject.log)}"
  }
  rm -r /run/rookery/inject
fi
if [ -s /root/.ssh/authorized_keys ] && [ -e /run/rookery/ssh/keys-given ]; then
  /usr/lib/rookery/ssh >/dev/null || fail "sshd did not start"
fi
echo go >/run/rookery/go
)sh";

class Packer {
 public:
  explicit Packer(const std::string& lab_file) : lab_file_(lab_file) {}

  Status add(const Injection& injection) {
    std::error_code error;
    const fs::path from = injection.from;
    const fs::file_status status = fs::status(from, error);
    if (!fs::exists(status)) return wrong(injection, "there is no file or folder '" + injection.from + "'");
    if (injection.to.empty()) return add_package(injection);
    std::string to = injection.to.substr(1);
    if (to.empty() || to.ends_with('/')) {
      to += from.has_filename() ? from.filename().string() : from.parent_path().filename().string();
    }
    return add_tree(injection, from, to, status);
  }
  Status add_keys(const std::vector<std::string>& keys) {
    if (keys.empty()) return {};
    std::string text;
    for (const std::string& key : keys) text += key + "\n";
    files_.push_back({"root/.ssh", S_IFDIR | 0700, {}});
    files_.push_back({"root/.ssh/authorized_keys", 0600, text});
    files_.push_back({"run/rookery/ssh/keys-given", 0600, {}});
    return {};
  }

  Result<Gift> pack() {
    auto work = TemporaryFolder::make("rookery-gift-");
    if (!work) return tl::unexpected<Error>(work.error());
    const fs::path path = work->path() / "tar";
    auto writer = images::ArchiveWriter::create(path, images::ArchiveWriter::Format::tar, 0);
    if (!writer) return tl::unexpected<Error>(writer.error());
    for (const ImageFile& file : files_) ROOKERY_TRY(writer->add(file));
    ROOKERY_TRY(writer->finish());
    auto tar = read_file(path, Bytes{2 * kGiftMost.count});
    if (!tar) return tl::unexpected<Error>(tar.error());
    Gift gift{std::move(*tar), {}, files_.size() - packages_, packages_};
    gift.sha256 = to_hex(sha256(as_bytes(gift.tar)));
    return gift;
  }

 private:
  tl::unexpected<Error> wrong(const Injection& injection, const std::string& what) const {
    return fail(ErrorKind::usage, at_place(lab_file_, injection.at, what));
  }

  Status keep(const Injection& injection, ImageFile file) {
    bytes_ += file.content.size();
    if (bytes_ > kGiftMost.count || files_.size() == kGiftFilesMost) {
      return wrong(injection,
                   fmt::format("a machine is given at most {} and {} files, for all lies in its memory; "
                               "'{}' is more",
                               to_text(kGiftMost), kGiftFilesMost, injection.from));
    }
    files_.push_back(std::move(file));
    return {};
  }

  Status add_package(const Injection& injection) {
    auto content = read(injection, injection.from);
    if (!content) return tl::unexpected<Error>(content.error());
    if (!content->starts_with(kPackageMagic))
      return wrong(injection, "'" + injection.from + "' is no Debian package");
    ++packages_;
    return keep(injection,
                {fmt::format("{}/{:03}.deb", kPackageFolder, packages_), 0644, std::move(*content)});
  }

  // Folders in the order of their entries' names; links as links, wherever they lead.
  Status add_tree(const Injection& injection, const fs::path& from, const std::string& to,
                  fs::file_status status) {
    const auto mode = static_cast<unsigned>(status.permissions() & fs::perms::mask);
    std::error_code error;
    if (fs::is_symlink(status)) {
      const fs::path target = fs::read_symlink(from, error);
      if (error) return wrong(injection, "cannot read the link '" + from.string() + "': " + error.message());
      return keep(injection, {to, S_IFLNK | 0777, target.string()});
    }
    if (fs::is_regular_file(status)) {
      auto content = read(injection, from);
      if (!content) return tl::unexpected<Error>(content.error());
      return keep(injection, {to, mode, std::move(*content)});
    }
    if (!fs::is_directory(status))
      return wrong(injection, "'" + from.string() + "' is neither a file, nor a folder, nor a link");
    ROOKERY_TRY(keep(injection, {to, S_IFDIR | mode, {}}));
    std::vector<fs::path> entries;
    for (fs::directory_iterator it(from, error), end; !error && it != end; it.increment(error)) {
      entries.push_back(it->path());
      if (entries.size() > kGiftFilesMost) break;
    }
    if (error) return wrong(injection, "cannot read the folder '" + from.string() + "': " + error.message());
    std::sort(entries.begin(), entries.end());
    for (const fs::path& entry : entries) {
      ROOKERY_TRY(
          add_tree(injection, entry, to + "/" + entry.filename().string(), fs::symlink_status(entry, error)));
    }
    return {};
  }

  Result<std::string> read(const Injection& injection, const fs::path& path) const {
    auto content = read_file(path, kGiftMost);
    if (!content) return wrong(injection, content.error().message);
    return content;
  }

  const std::string& lab_file_;
  std::vector<ImageFile> files_;
  std::uint64_t bytes_ = 0;
  std::size_t packages_ = 0;
};

}  // namespace

std::vector<std::string> gift_script() {
  return {"/bin/sh", "-c", kScript};
}

Result<std::shared_ptr<const Gift>> GiftMaker::of(const MachinePlan& machine) {
  if (!plan_.gives()) return std::shared_ptr<const Gift>();
  const auto same =
      std::find_if(made_.begin(), made_.end(), [&](const Made& one) { return one.from == machine.inject; });
  if (same != made_.end()) return same->gift;
  Packer packer(plan_.filename);
  ROOKERY_TRY(packer.add_keys(plan_.authorized_keys));
  for (const Injection& injection : machine.inject) ROOKERY_TRY(packer.add(injection));
  auto gift = packer.pack();
  if (!gift) return tl::unexpected<Error>(gift.error());
  made_.push_back({machine.inject, std::make_shared<const Gift>(std::move(*gift))});
  return made_.back().gift;
}

}  // namespace rookery::vboot
