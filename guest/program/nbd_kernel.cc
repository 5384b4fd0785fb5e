#include "guest/program/nbd_kernel.h"

#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <linux/nbd.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace rookery::guest {
namespace {

// A request that gets no answer for so long has lost its connection, and waits for another.
constexpr std::uint64_t kRequestSeconds = 10;
// So long readers wait for one: a boot server may be away, but a system without its files is better told some
// day.
constexpr std::uint64_t kDeadConnectionSeconds = std::uint64_t{24} * 60 * 60;

std::uint64_t block_size_for(std::uint64_t size) {
  return size % 4096 == 0 ? 4096 : 512;
}

struct FreeMessage {
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, FreeMessage>;

Message new_message(int family, std::uint8_t command, std::uint32_t device, int socket) {
  Message message(nlmsg_alloc());
  nl_msg* const m = message.get();
  genlmsg_put(m, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, command, NBD_GENL_VERSION);
  nla_put_u32(m, NBD_ATTR_INDEX, device);
  nlattr* const sockets = nla_nest_start(m, NBD_ATTR_SOCKETS);
  nlattr* const item = nla_nest_start(m, NBD_SOCK_ITEM);
  nla_put_u32(m, NBD_SOCK_FD, static_cast<std::uint32_t>(socket));
  nla_nest_end(m, item);
  nla_nest_end(m, sockets);
  return message;
}

Status send(nl_sock* socket, Message message) {
  // libnl owns the message from here on.
  if (int code = nl_send_sync(socket, message.release()); code < 0)
    return fail(std::string("the kernel refuses the network block device: ") + nl_geterror(code));
  return {};
}

}  // namespace

void NbdKernel::Free::operator()(nl_sock* socket) const {
  nl_socket_free(socket);
}

Result<NbdKernel> NbdKernel::open() {
  Socket orders(nl_socket_alloc()), news(nl_socket_alloc());
  for (nl_sock* socket : {orders.get(), news.get()}) {
    if (int code = genl_connect(socket); code < 0) return fail(std::string("netlink: ") + nl_geterror(code));
  }
  const int family = genl_ctrl_resolve(orders.get(), NBD_GENL_FAMILY_NAME);
  if (family < 0) return fail("this kernel has no network block devices");
  const int group = genl_ctrl_resolve_grp(orders.get(), NBD_GENL_FAMILY_NAME, NBD_GENL_MCAST_GROUP_NAME);
  if (group < 0 || nl_socket_add_membership(news.get(), group) < 0)
    return fail("this kernel does not tell of dead network block devices");
  std::uint32_t device = 0;  // one in use shows its owner
  while (access(("/sys/block/nbd" + std::to_string(device) + "/pid").c_str(), F_OK) == 0) ++device;
  return NbdKernel(std::move(orders), std::move(news), family, device);
}

Status NbdKernel::connect(int fd, const NbdExport& share) {
  Message message = new_message(family_, NBD_CMD_CONNECT, device_, fd);
  nl_msg* const m = message.get();
  nla_put_u64(m, NBD_ATTR_SIZE_BYTES, share.size);
  nla_put_u64(m, NBD_ATTR_BLOCK_SIZE_BYTES, block_size_for(share.size));
  nla_put_u64(m, NBD_ATTR_SERVER_FLAGS, share.flags | NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY);
  nla_put_u64(m, NBD_ATTR_TIMEOUT, kRequestSeconds);
  nla_put_u64(m, NBD_ATTR_DEAD_CONN_TIMEOUT, kDeadConnectionSeconds);
  return send(orders_.get(), std::move(message));
}

Status NbdKernel::reconnect(int fd) {
  return send(orders_.get(), new_message(family_, NBD_CMD_RECONFIGURE, device_, fd));
}

void NbdKernel::wait_for_death() {
  alignas(nlattr) std::uint8_t bytes[512];
  constexpr std::size_t kHeaders = sizeof(nlmsghdr) + sizeof(genlmsghdr);
  while (true) {
    const ssize_t count = recv(nl_socket_get_fd(news_.get()), bytes, sizeof bytes, 0);
    if (count < 0 && errno == ENOBUFS) return;  // more news than there was room for
    if (count < static_cast<ssize_t>(kHeaders)) continue;
    genlmsghdr header{};
    std::memcpy(&header, bytes + sizeof(nlmsghdr), sizeof header);
    const nlattr* const which =
        nla_find(reinterpret_cast<const nlattr*>(bytes + kHeaders),
                 static_cast<int>(static_cast<std::size_t>(count) - kHeaders), NBD_ATTR_INDEX);
    if (header.cmd == NBD_CMD_LINK_DEAD && which != nullptr && nla_get_u32(which) == device_) return;
  }
}

}  // namespace rookery::guest
