#include "base/unix_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace rookery {
namespace {

constexpr std::size_t kFilesReceived = 64;  // with one message; the kernel closes what is beyond

// A socket's address, and the folder that it may go through for as long as it is used.
struct Address {
  sockaddr_un name{};
  UniqueFd folder;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&name); }
};

Result<Address> address_of(const std::filesystem::path& path) {
  Address address;
  address.name.sun_family = AF_UNIX;
  std::string text = path.string();
  if (text.size() >= sizeof address.name.sun_path) {
    // unix(7) allows 107 bytes; the folder's descriptor is a short name for any folder.
    address.folder.reset(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!address.folder) return fail_errno(fmt::format("cannot open {}", path.parent_path().string()));
    text = fmt::format("/proc/self/fd/{}/{}", address.folder.get(), path.filename().string());
    if (text.size() >= sizeof address.name.sun_path) {
      return fail(fmt::format("the socket's file name is too long: {}", path.filename().string()));
    }
  }
  std::memcpy(address.name.sun_path, text.c_str(), text.size() + 1);
  return address;
}

Result<UniqueFd> make_socket(int type) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("cannot make a socket");
  return fd;
}

Result<UniqueFd> connect(const std::filesystem::path& path, int type) {
  auto address = address_of(path);
  if (!address) return tl::unexpected(address.error());
  auto fd = make_socket(type);
  if (!fd) return fd;
  if (::connect(fd->get(), address->get(), sizeof address->name) == 0) return fd;
  auto error = fail_errno(fmt::format("cannot connect to {}", path.string()));
  if (errno == ECONNREFUSED || errno == ENOENT) error.value().kind = ErrorKind::expectation;
  return error;
}

// Removes the socket of a process that is gone, and nothing else.
Status make_room(const std::filesystem::path& path, int type) {
  struct stat there {};
  if (::lstat(path.c_str(), &there) != 0) return {};
  if (!S_ISSOCK(there.st_mode)) return fail(fmt::format("{} is in the way: no socket", path.string()));
  const auto other = connect(path, type);
  if (other) return fail(ErrorKind::usage, fmt::format("{} is in use", path.string()));
  if (other.error().kind != ErrorKind::expectation) return tl::unexpected(other.error());
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail_errno(fmt::format("cannot remove {}", path.string()));
  return {};
}

Result<UniqueFd> bind(const std::filesystem::path& path, int type) {
  ROOKERY_TRY(make_room(path, type));
  auto address = address_of(path);
  if (!address) return tl::unexpected(address.error());
  auto fd = make_socket(type);
  if (!fd) return fd;
  // Before bind, so that the file never has another mode (Linux gives it the socket's).
  if (::fchmod(fd->get(), 0600) != 0) return fail_errno("cannot set a socket's mode");
  if (::bind(fd->get(), address->get(), sizeof address->name) != 0) {
    return fail_errno(fmt::format("cannot bind {}", path.string()));
  }
  return fd;
}

}  // namespace

Result<UniqueFd> connect_unix(const std::filesystem::path& path) {
  return connect(path, SOCK_STREAM);
}

Result<UniqueFd> listen_unix(const std::filesystem::path& path, int backlog) {
  auto fd = bind(path, SOCK_STREAM | SOCK_NONBLOCK);
  if (!fd) return fd;
  if (::listen(fd->get(), backlog) != 0) return fail_errno(fmt::format("cannot listen on {}", path.string()));
  return fd;
}

Result<UniqueFd> bind_unix_datagrams(const std::filesystem::path& path) {
  return bind(path, SOCK_DGRAM | SOCK_NONBLOCK);
}

Result<UniqueFd> connect_unix_datagrams(const std::filesystem::path& path) {
  return connect(path, SOCK_DGRAM | SOCK_NONBLOCK);
}

UniqueFd accept_unix(int listener) {
  return UniqueFd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

bool has_no_room_for_peer(int errno_value) {  // accept(2)
  return errno_value == EMFILE || errno_value == ENFILE || errno_value == ENOBUFS || errno_value == ENOMEM;
}

bool send_with_files(int socket, ByteView message, std::span<const int> files, int flags) {
  if (files.size() > kFilesPerMessage) bug("more descriptors than a message carries");
  iovec part{const_cast<std::uint8_t*>(message.data()), message.size()};  // not written to
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kFilesPerMessage * sizeof(int))> control{};
  if (!files.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(files.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(files.size_bytes());
    std::memcpy(CMSG_DATA(rights), files.data(), files.size_bytes());
  }
  return ::sendmsg(socket, &header, flags | MSG_NOSIGNAL) == static_cast<ssize_t>(message.size());
}

ssize_t receive_with_files(int socket, std::span<std::uint8_t> into, std::vector<UniqueFd>& files) {
  iovec part{into.data(), into.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kFilesReceived)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) return got;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      files.emplace_back(fd);
    }
  }
  return got;
}

}  // namespace rookery
