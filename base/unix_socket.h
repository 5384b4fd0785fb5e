// Unix stream sockets by path, of any length (an address holds 107 bytes; longer paths go through
// /proc/self/fd).
#pragma once

#include <filesystem>

#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery {

// A listening socket, non-blocking, mode 0600, at a path where nothing is or a socket that nobody listens on
// any more, as a killed supervisor leaves it. A socket that somebody listens on is an Error of kind usage.
Result<UniqueFd> listen_unix(const std::filesystem::path& path, int backlog = 128);
// A connected socket, blocking. Nobody listening is an Error of kind expectation; all else of kind
// infrastructure.
Result<UniqueFd> connect_unix(const std::filesystem::path& path);
// The next peer, non-blocking; an empty descriptor if nobody waits.
UniqueFd accept_unix(int listener);

}  // namespace rookery
