// Stream sockets with a name in the file system, also where the name is longer than a socket address holds.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery::vboot {

// A connected socket, blocking. Nobody listening is an Error of kind expectation; all else of kind
// infrastructure.
Result<UniqueFd> connect_unix(const std::filesystem::path& path);

// A listening socket, non-blocking, mode 0600, at a path where nothing is or a socket that nobody listens on
// any more, as a killed supervisor leaves it. A socket that somebody listens on is an Error of kind usage.
Result<UniqueFd> listen_unix(const std::filesystem::path& path, int backlog = 64);

}  // namespace rookery::vboot
