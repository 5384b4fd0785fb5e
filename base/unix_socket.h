// Unix sockets by path, of any length (an address holds 107 bytes; longer paths go through
// /proc/self/fd).
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "base/bytes.h"
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
// Whether that is so, by errno, because we have no descriptor or memory left for one who waits. He still
// does: who asks again at once asks for ever.
bool has_no_room_for_peer(int errno_value);

// Sockets of datagrams, non-blocking: one that takes what is sent to `path`, where the same may be as for
// listen_unix(); and one that sends there. Nobody there is an Error of kind expectation.
Result<UniqueFd> bind_unix_datagrams(const std::filesystem::path& path);
Result<UniqueFd> connect_unix_datagrams(const std::filesystem::path& path);

// Sends a message in one piece, with descriptors that the peer gets copies of (at most kFilesPerMessage).
// False, with errno, if it could not be sent whole. `flags` as send(2)'s, beside MSG_NOSIGNAL.
inline constexpr std::size_t kFilesPerMessage = 8;
bool send_with_files(int socket, ByteView message, std::span<const int> files, int flags = 0);
// Reads what is there without waiting, with the descriptors that came along: each is appended to `files`.
// What is returned, and errno, are those of recvmsg(2).
ssize_t receive_with_files(int socket, std::span<std::uint8_t> into, std::vector<UniqueFd>& files);

}  // namespace rookery
