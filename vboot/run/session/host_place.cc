#include "vboot/run/session/host_place.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/process.h"
#include "base/unix_socket.h"
#include "vboot/control/client.h"

namespace rookery::vboot {
namespace {

namespace fs = std::filesystem;

void empty(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) fs::remove_all(entry.path(), error);
}

Status check_not_up(const fs::path& runtime, const std::string& lab, const fs::path& files) {
  const fs::path here = runtime / lab;
  const fs::path home = home_of(memory_folder_path(lab, files)).value_or(here);
  for (const fs::path& each : {home, here}) {
    if (!connect_unix(control_socket_path(each.parent_path(), lab))) continue;
    if (each == here)
      return fail(ErrorKind::usage,
                  fmt::format("the lab {0} is up already; take it down with: rookery down --lab {0}", lab));
    return fail(ErrorKind::usage,
                fmt::format("the lab {} is up already, in another runtime folder; take it down with: {}", lab,
                            reached_by(each, "down")));
  }
  return {};
}

}  // namespace

Result<std::optional<HostPlace>> HostPlace::claim(const fs::path& runtime, std::string_view name,
                                                  const fs::path& files) {
  auto folder = claim_folder(runtime / name);
  if (!folder) return tl::unexpected<Error>(folder.error());
  if (!*folder) return std::optional<HostPlace>{};
  auto memory = claim_folder(memory_folder_path(name, files));
  if (!memory || !*memory) {
    ::rmdir((*folder)->path.c_str());  // ours, and new: what a janitor left is not empty
    if (!memory) return tl::unexpected<Error>(memory.error());
    return std::optional<HostPlace>{};
  }
  HostPlace place(std::move(**folder), std::move(**memory));
  // What is there now is left over from one whose janitor was killed as well.
  for (const fs::path& each : {place.folder(), place.memory_folder()}) empty(each);
  ROOKERY_TRY(write_home(place.memory_folder(), place.folder()));
  return std::optional<HostPlace>(std::move(place));
}

// One who is going has its place for a moment yet, and one who is coming does not answer yet.
Result<HostPlace> HostPlace::claim_for(EventLoop& loop, const fs::path& runtime, const std::string& lab,
                                       const fs::path& files) {
  constexpr Duration kPatience = std::chrono::seconds(10), kBetweenLooks = std::chrono::milliseconds(10);
  std::optional<HostPlace> place;
  Status looked;
  const auto settled = [&] {
    auto claimed = claim(runtime, lab, files);
    if (!claimed) {
      looked = tl::unexpected<Error>(claimed.error());
    } else if (*claimed) {
      place.emplace(std::move(**claimed));
    } else {
      looked = check_not_up(runtime, lab, files);
    }
    return place || !looked;
  };
  EventId ticker;
  std::function<void()> look_again = [&] { ticker = loop.after(kBetweenLooks, look_again); };
  look_again();
  loop.run_until(settled, kPatience);
  loop.cancel(ticker);
  if (!looked) return tl::unexpected<Error>(looked.error());
  if (!place) return fail("the last run of the lab " + lab + " is still being cleaned up");
  return std::move(*place);
}

Result<HostPlace> HostPlace::claim_any(const fs::path& runtime, std::string_view prefix,
                                       const fs::path& files) {
  constexpr int kMost = 1000;
  for (int number = 1; number <= kMost; ++number) {
    auto place =
        claim(runtime, number == 1 ? std::string(prefix) : fmt::format("{}-{}", prefix, number), files);
    if (!place) return tl::unexpected<Error>(place.error());
    if (*place) return std::move(**place);
  }
  return fail(fmt::format("all names from {0} to {0}-{1} are taken in {2} or {3}", prefix, kMost,
                          runtime.string(), files.string()));
}

Status HostPlace::guard(const std::vector<std::string>& last) {
  auto janitor = start_janitor({&folder_, &memory_}, last);
  if (!janitor) return tl::unexpected<Error>(janitor.error());
  janitor_ = std::move(*janitor);
  return {};
}

Status HostPlace::watch(EventLoop& loop, const std::string& socket, std::function<void()> lost) {
  changes_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!changes_) return fail_errno("cannot watch " + folder().string());
  for (const fs::path& each : {folder().parent_path(), folder()}) {
    constexpr std::uint32_t kGoing = IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (::inotify_add_watch(changes_.get(), each.c_str(), kGoing) < 0)
      return fail_errno("cannot watch " + each.string());
  }
  watch_ = loop.watch(changes_.get(), EPOLLIN, [this, socket, lost = std::move(lost)](std::uint32_t) {
    alignas(inotify_event) std::array<char, 4096> events;
    while (::read(changes_.get(), events.data(), events.size()) > 0) {
    }
    std::error_code error;
    if (folder_.stands() && fs::exists(folder() / socket, error)) return;
    const auto tell = lost;
    watch_.stop();
    tell();
  });
  return {};
}

// Memory first: until the folder has gone the janitor sees to the rest.
HostPlace::~HostPlace() {
  if (!folder_.claim) return;  // moved from
  watch_.stop();
  std::error_code ignored;
  for (const ClaimedFolder* each : {&memory_, &folder_}) {
    if (each->stands()) fs::remove_all(each->path, ignored);
  }
}

Result<std::vector<std::string>> remove_left_places(const fs::path& runtime, const fs::path& files) {
  std::vector<std::string> names;
  const auto remove = [&](const fs::path& folder) -> Status {
    auto claimed = claim_folder(folder);
    if (!claimed) return tl::unexpected<Error>(claimed.error());
    if (!*claimed) return {};  // its lab runs, or its janitor works
    clear_away({&**claimed});
    names.push_back(folder.string());
    return {};
  };
  std::error_code error;
  for (const fs::path& memory : memory_folders(files)) {
    // Its folder is claimed first, as who starts does.
    const auto home = home_of(memory);
    if (home && home->parent_path() != runtime && fs::is_directory(*home, error)) ROOKERY_TRY(remove(*home));
    ROOKERY_TRY(remove(memory));
  }
  std::vector<fs::path> homes;
  for (const auto& entry : fs::directory_iterator(runtime, error)) {
    if (entry.is_directory(error) && !entry.path().filename().string().starts_with('.'))
      homes.push_back(entry.path());
  }
  for (const fs::path& home : homes) ROOKERY_TRY(remove(home));
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace rookery::vboot
