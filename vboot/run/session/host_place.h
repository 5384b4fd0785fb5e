// Where a lab or a run lives on this host: a private folder for sockets, and one on tmpfs for guests' memory.
// Both are claimed, under one name, before anything in them is touched, and a janitor removes them however we
// go. Whoever has the one and not the other has neither. Goes after all that lies in it.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/loop/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "vboot/control/lab_homes.h"

namespace rookery::vboot {

class HostPlace {
 public:
  // Nothing while another has the name, in this runtime folder or in another one of this user.
  static Result<std::optional<HostPlace>> claim(const std::filesystem::path& runtime, std::string_view name,
                                                const std::filesystem::path& files = kMemoryFiles);
  // The same for a lab that is to come up: waits a moment for one that goes down, or says that the lab is up.
  static Result<HostPlace> claim_for(EventLoop& loop, const std::filesystem::path& runtime,
                                     const std::string& lab,
                                     const std::filesystem::path& files = kMemoryFiles);
  // A name that nobody has: several runs may stand side by side, also in PID namespaces of their own.
  static Result<HostPlace> claim_any(const std::filesystem::path& runtime, std::string_view prefix,
                                     const std::filesystem::path& files = kMemoryFiles);
  // From here on all is removed however we go. `last`: see start_janitor().
  Status guard(const std::vector<std::string>& last);
  // Tells once when the folder or the socket of that name in it is gone: nobody finds the lab then.
  Status watch(EventLoop& loop, const std::string& socket, std::function<void()> lost);
  void watch_no_more() { watch_.stop(); }

  HostPlace(HostPlace&& other) noexcept = default;
  HostPlace& operator=(HostPlace&& other) = delete;
  ~HostPlace();

  const std::filesystem::path& folder() const { return folder_.path; }
  const std::filesystem::path& memory_folder() const { return memory_.path; }

 private:
  HostPlace(ClaimedFolder folder, ClaimedFolder memory)
      : folder_(std::move(folder)), memory_(std::move(memory)) {}

  ClaimedFolder folder_, memory_;
  UniqueFd janitor_;
  UniqueFd changes_;  // inotify
  Watch watch_;
};

// Removes what is left of labs whose supervisor and janitor were both killed: the places that nobody claims.
// Their names.
Result<std::vector<std::string>> remove_left_places(const std::filesystem::path& runtime,
                                                    const std::filesystem::path& files = kMemoryFiles);

}  // namespace rookery::vboot
