#include "backends/libvirt/records.h"

#include <algorithm>
#include <sstream>

#include "base/digest.h"

namespace rookery::backends {
namespace {

namespace fs = std::filesystem;

// Short: sockets lie below, whose paths must not be longer than 107 bytes.
constexpr const char* kRecords = ".lv";
constexpr const char* kRecord = "record";
constexpr const char* kRoot = "r";
constexpr std::size_t kRecordsMost = 4096;

}  // namespace

Result<LibvirtSetup> begin_record(const fs::path& runtime, const LibvirtUri& uri, const DomainOwner& owner) {
  const std::string text = owner.lab + "\n" + owner.place + "\n" + uri.text() + "\n";
  const fs::path folder = runtime / kRecords / to_hex(sha256(as_bytes(text))).substr(0, 8);
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (error) return fail_errno("cannot make " + folder.parent_path().string(), error.value());
  auto claimed = claim_folder(folder);
  if (!claimed) return tl::unexpected<Error>(claimed.error());
  if (!*claimed)
    return fail("what the last run of the lab " + owner.lab + " left at " + uri.text() +
                " is still being destroyed; try again in a moment");
  ROOKERY_TRY(write_file(folder / kRecord, text, 0600));
  return LibvirtSetup{uri, owner, folder / kRoot, std::make_shared<ClaimedFolder>(std::move(**claimed))};
}

Result<std::vector<std::string>> destroy_left_domains(const fs::path& runtime) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(runtime / kRecords, error)) {
    if (folders.size() < kRecordsMost) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  std::vector<std::string> names;
  std::optional<Error> problem;
  for (const fs::path& folder : folders) {
    auto claimed = claim_folder(folder);
    if (!claimed || !*claimed) continue;  // its lab runs
    const auto text = read_file(folder / kRecord, Bytes{8192});
    std::istringstream lines(text.value_or(""));
    DomainOwner owner;
    std::string uri_text;
    std::getline(lines, owner.lab);
    std::getline(lines, owner.place);
    std::getline(lines, uri_text);
    if (const auto uri = parse_libvirt_uri(uri_text)) {
      const auto destroyed = destroy_domains_of({*uri, owner, folder / kRoot, nullptr});
      if (!destroyed) {
        problem = destroyed.error();
        continue;
      }
      names.insert(names.end(), destroyed->begin(), destroyed->end());
    }
    fs::remove_all(folder, error);
  }
  if (problem) return tl::unexpected<Error>(*problem);
  return names;
}

}  // namespace rookery::backends
