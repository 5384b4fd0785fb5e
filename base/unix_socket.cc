#include "base/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

namespace rookery {
namespace {

// An address for `path`, and the folder that has to stay open while it is used.
struct Address {
  sockaddr_un name{};
  UniqueFd folder;
};

Result<Address> address_of(const std::filesystem::path& path) {
  Address address;
  address.name.sun_family = AF_UNIX;
  std::string text = path.string();
  if (text.size() >= sizeof address.name.sun_path) {
    address.folder = UniqueFd(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!address.folder) return fail_errno("cannot open " + path.parent_path().string());
    text = "/proc/self/fd/" + std::to_string(address.folder.get()) + "/" + path.filename().string();
    if (text.size() >= sizeof address.name.sun_path) return fail("the name of " + path.string() + " is too long");
  }
  std::memcpy(address.name.sun_path, text.c_str(), text.size() + 1);
  return address;
}

}  // namespace

Result<UniqueFd> listen_unix(const std::filesystem::path& path, unsigned mode) {
  auto address = address_of(path);
  if (!address) return tl::unexpected<Error>(address.error());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("cannot make a socket");
  ::unlink(path.c_str());
  // Made without rights for anybody and opened up only then: no moment with more than `mode`.
  ::fchmod(fd.get(), 0);
  const auto* name = reinterpret_cast<const sockaddr*>(&address->name);
  if (::bind(fd.get(), name, sizeof address->name) != 0) return fail_errno("cannot bind " + path.string());
  if (::chmod(path.c_str(), mode) != 0) return fail_errno("cannot set the mode of " + path.string());
  if (::listen(fd.get(), 128) != 0) return fail_errno("cannot listen on " + path.string());
  return fd;
}

Result<UniqueFd> connect_unix(const std::filesystem::path& path) {
  auto address = address_of(path);
  if (!address) return tl::unexpected<Error>(address.error());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("cannot make a socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address->name), sizeof address->name) != 0) {
    return fail_errno("cannot connect to " + path.string());
  }
  return fd;
}

UniqueFd accept_unix(int listener) { return UniqueFd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)); }

}  // namespace rookery
