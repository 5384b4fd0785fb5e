// Where a run lives on this host: a private folder for sockets, one on tmpfs for guests' memory, both of this
// run alone, and a janitor that removes them however we go. Several runs of one scenario may stand side by
// side. Goes after all that lies in it.
#pragma once

#include <filesystem>

#include "base/file.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery::vboot {

class RunPlace {
 public:
  // `last`: see start_janitor().
  static Result<RunPlace> make(const std::vector<std::string>& last);
  RunPlace(RunPlace&& other) noexcept = default;
  RunPlace& operator=(RunPlace&& other) = delete;
  ~RunPlace();

  const std::filesystem::path& folder() const { return folder_.path; }
  const std::filesystem::path& memory_folder() const { return memory_; }

 private:
  RunPlace(ClaimedFolder folder, std::filesystem::path memory)
      : folder_(std::move(folder)), memory_(std::move(memory)) {}

  ClaimedFolder folder_;
  std::filesystem::path memory_;
  UniqueFd janitor_;
};

}  // namespace rookery::vboot
