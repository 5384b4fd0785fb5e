#include "backends/libvirt/records.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "base/digest.h"
#include "base/unique_fd.h"

namespace rookery::backends {
namespace {

namespace fs = std::filesystem;

// Short: sockets lie below, whose paths must not be longer than 107 bytes.
constexpr const char* kRecords = ".lv";
constexpr const char* kRecord = "record";
constexpr const char* kRoot = "r";
constexpr std::size_t kRecordsMost = 4096;

// In a process of its own: within one, libvirt's embedded driver has one root, and no other QEMU of the host.
Result<std::vector<std::string>> destroy_apart(const LibvirtSetup& setup) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("cannot make a pipe");
  UniqueFd answer(ends[0]), to_say(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("cannot start a process");
  if (child == 0) {
    const auto destroyed = destroy_domains_of(setup);
    std::string said;
    for (const std::string& name : destroyed.value_or(std::vector<std::string>{})) said += name + "\n";
    if (!destroyed) said = destroyed.error().message;
    for (ssize_t put = 1; put > 0 && !said.empty(); said.erase(0, static_cast<std::size_t>(put)))
      put = ::write(to_say.get(), said.data(), said.size());
    ::_exit(destroyed ? 0 : 1);
  }
  to_say.reset();
  std::string said;
  std::array<char, 4096> block;
  for (ssize_t got; (got = ::read(answer.get(), block.data(), block.size())) > 0;)
    said.append(block.data(), static_cast<std::size_t>(got));
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail(said.empty() ? "libvirt ended the process that was to destroy domains" : said);
  std::vector<std::string> names;
  std::istringstream lines(said);
  for (std::string name; std::getline(lines, name);) names.push_back(name);
  return names;
}

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
    if (!claimed) {
      problem = claimed.error();
      continue;
    }
    if (!*claimed) continue;  // its lab runs
    const auto text = read_file(folder / kRecord, Bytes{8192});
    std::istringstream lines(text.value_or(""));
    DomainOwner owner;
    std::string uri_text;
    std::getline(lines, owner.lab);
    std::getline(lines, owner.place);
    std::getline(lines, uri_text);
    if (const auto uri = parse_libvirt_uri(uri_text)) {
      const auto destroyed = destroy_apart({*uri, owner, folder / kRoot, nullptr});
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
