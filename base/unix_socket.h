// Unix stream sockets by path, of any length (sun_path holds 108 bytes; longer ones go through /proc/self/fd).
#pragma once

#include <filesystem>

#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery {

// A listening socket at `path` with exactly this mode; non-blocking. What was there before is replaced.
Result<UniqueFd> listen_unix(const std::filesystem::path& path, unsigned mode = 0600);
Result<UniqueFd> connect_unix(const std::filesystem::path& path);  // blocking
// The next peer, non-blocking; an empty descriptor if nobody waits.
UniqueFd accept_unix(int listener);

}  // namespace rookery
