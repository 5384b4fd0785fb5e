#include "netsim/ports/packet.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "netsim/segment.h"

namespace rookery::netsim {
namespace {

// What the kernel keeps for us while we are busy; a real switch's port buffer is of this order.
constexpr int kKernelBuffer = 4 << 20;

// What an ioctl of netdevice(7) says of an interface.
Result<ifreq> ask(unsigned long what, const std::string& interface) {
  if (interface.empty() || interface.size() >= IFNAMSIZ) return fail_errno("no such interface", ENODEV);
  const UniqueFd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, interface.data(), interface.size());
  if (!any || ::ioctl(any.get(), what, &request) != 0) return fail_errno("asking for " + interface);
  return request;
}

std::string interfaces_there() {
  std::string names;
  if (struct if_nameindex* const all = ::if_nameindex(); all != nullptr) {
    for (const struct if_nameindex* one = all; one->if_index != 0; ++one)
      names += (names.empty() ? "" : ", ") + std::string(one->if_name);
    ::if_freenameindex(all);
  }
  return names;
}

std::string this_program() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).string();
}

template <typename Value>
bool set(int socket, int level, int option, const Value& value) {
  return ::setsockopt(socket, level, option, &value, sizeof value) == 0;
}

// linux/virtio_net.h, struct virtio_net_hdr, which C++ cannot include; on a packet socket its numbers are in
// the host's own order of bytes. What they say: netsim/frame.h, Offload.
struct VirtioHeader {
  std::uint8_t flags, segments;
  std::uint16_t header_length, segment_size, checksum_start, checksum_offset;
};
static_assert(sizeof(VirtioHeader) == 10);

Offload offload_of(const VirtioHeader& header) {
  return {header.flags,        header.segments,       header.header_length,
          header.segment_size, header.checksum_start, header.checksum_offset};
}

VirtioHeader header_of(const Offload& offload) {
  return {offload.flags,        offload.segments,       offload.header_length,
          offload.segment_size, offload.checksum_start, offload.checksum_offset};
}

// The tag that the NIC or its driver took off (packet(7), PACKET_AUXDATA).
struct TakenTag {
  std::uint16_t ethertype = 0;  // 0: none
  VlanTag tag;
};
TakenTag taken_tag(msghdr& message) {
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    if (one->cmsg_level != SOL_PACKET || one->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata said;
    std::memcpy(&said, CMSG_DATA(one), sizeof said);
    if ((said.tp_status & TP_STATUS_VLAN_VALID) == 0) continue;
    const bool named = (said.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0;
    return {named ? said.tp_vlan_tpid : kEthertypeVlan, VlanTag{said.tp_vlan_tci}};
  }
  return {};
}

// Protocol 0: nothing comes before it is bound to its one interface.
Result<UniqueFd> packet_socket(const std::string& interface) {
  UniqueFd opened(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (opened) return opened;
  if (errno != EPERM) return fail_errno("cannot open a packet socket");
  return fail("no permission to send and receive frames on " + interface +
              ": it takes the capability CAP_NET_RAW. Run as root, or give it to the program once: setcap "
              "cap_net_raw+ep " +
              this_program());
}

}  // namespace

Result<MacAddress> PacketPort::look(const std::string& interface) {
  if (!ask(SIOCGIFINDEX, interface))
    return fail(ErrorKind::usage,
                "there is no network interface '" + interface + "'; there are: " + interfaces_there());
  const auto hardware = ask(SIOCGIFHWADDR, interface);
  if (!hardware || hardware->ifr_hwaddr.sa_family != ARPHRD_ETHER)
    return fail(ErrorKind::usage, interface + " is no Ethernet interface");
  const auto flags = ask(SIOCGIFFLAGS, interface);
  if (!flags || (flags->ifr_flags & IFF_UP) == 0)
    return fail(interface + " is down; set it up: ip link set " + interface + " up");
  if (const auto socket = packet_socket(interface); !socket) return tl::unexpected<Error>(socket.error());
  return *MacAddress::from_bytes(
      {reinterpret_cast<const std::uint8_t*>(hardware->ifr_hwaddr.sa_data), MacAddress::kSize});
}

Result<std::unique_ptr<PacketPort>> PacketPort::open(EventLoop& loop, const std::string& interface) {
  const auto address = look(interface);
  if (!address) return tl::unexpected<Error>(address.error());
  const auto index = ask(SIOCGIFINDEX, interface);
  if (!index) return tl::unexpected<Error>(index.error());
  std::unique_ptr<PacketPort> port(new PacketPort(loop, interface));
  port->address_ = *address;
  ROOKERY_TRY(port->open_socket(index->ifr_ifindex));
  return port;
}

Status PacketPort::open_socket(int index) {
  auto opened = packet_socket(interface_);
  if (!opened) return tl::unexpected<Error>(opened.error());
  socket_ = std::move(*opened);
  const int on = 1, fd = socket_.get();
  // Ours and the host's own frames to the wire do not come back to us. (Linux 4.20)
  if (!set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, on)) return fail_errno("PACKET_IGNORE_OUTGOING");
  if (!set(fd, SOL_PACKET, PACKET_VNET_HDR, on)) return fail_errno("PACKET_VNET_HDR");
  if (!set(fd, SOL_PACKET, PACKET_AUXDATA, on)) return fail_errno("PACKET_AUXDATA");
  packet_mreq all{};
  all.mr_ifindex = index;
  all.mr_type = PACKET_MR_PROMISC;  // frames for the lab's addresses, which the NIC does not know
  if (!set(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, all)) return fail_errno("promiscuous " + interface_);
  // Beyond the limit where we may, else as far as it goes.
  if (!set(fd, SOL_SOCKET, SO_RCVBUFFORCE, kKernelBuffer)) set(fd, SOL_SOCKET, SO_RCVBUF, kKernelBuffer);
  if (!set(fd, SOL_SOCKET, SO_SNDBUFFORCE, kKernelBuffer)) set(fd, SOL_SOCKET, SO_SNDBUF, kKernelBuffer);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = index;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("binding to " + interface_);
  room_.resize(kLargestUntaggedFrame);
  watch_ = loop_.watch(fd, EPOLLIN, [this](std::uint32_t) { receive(); });
  return {};
}

Status PacketPort::link() const {
  const auto flags = ask(SIOCGIFFLAGS, interface_);
  if (!flags) return fail("the network interface " + interface_ + " is gone");
  if ((flags->ifr_flags & IFF_UP) == 0) return fail(interface_ + " is down");
  if ((flags->ifr_flags & IFF_RUNNING) == 0)
    return fail(interface_ + " has no carrier: is its cable plugged in?");
  return {};
}

void PacketPort::receive() {
  turn_.renew(loop_.turns());
  while (turn_.left()) {
    VirtioHeader header;
    iovec parts[] = {{&header, sizeof header}, {room_.data(), room_.size()}};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(tpacket_auxdata))];
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT);
    if (got < 0) return;  // nothing more, or a signal came; or the NIC went down, and may come up again
    turn_.spend(1, 0, static_cast<std::size_t>(got));
    ++counters_.from_wire;
    const std::size_t size = static_cast<std::size_t>(got) - std::min<std::size_t>(got, sizeof header);
    if ((message.msg_flags & MSG_TRUNC) != 0 || size < kSmallestFrame) {
      ++counters_.dropped_long;
      continue;
    }
    FrameBuilder builder(size, share_);
    if (!builder) {
      ++counters_.dropped_no_buffer;
      continue;
    }
    std::memcpy(builder.bytes().data(), room_.data(), size);
    builder.offload() = offload_of(header);
    // A service provider's tag (IEEE 802.1ad) is none that the switch knows.
    const TakenTag taken = taken_tag(message);
    const bool strange = taken.ethertype != 0 && taken.ethertype != kEthertypeVlan;
    if (strange || !check_offload({room_.data(), size}, builder.offload())) {
      ++counters_.dropped_malformed;
      continue;
    }
    Frame frame = std::move(builder).freeze();
    if (taken.ethertype != 0) frame = std::move(frame).tagged(taken.tag);
    if (frame) next().send(std::move(frame));
  }
}

void PacketPort::send(Frame frame) {
  if (frame.is_super_frame() && frame.is_tagged()) {
    send_finished(frame, finished_);
  } else {
    put(frame);
  }
}

void PacketPort::put(const Frame& frame) {
  VirtioHeader header = header_of(frame.offload());
  const ByteView bytes = frame.bytes();
  iovec parts[] = {{&header, sizeof header}, {const_cast<std::uint8_t*>(bytes.data()), bytes.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  ssize_t sent;
  do {
    sent = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) {
    ++counters_.to_wire;
  } else if (errno == EMSGSIZE) {
    ++counters_.dropped_long;
  } else if (errno == EAGAIN || errno == ENOBUFS) {
    ++counters_.dropped_full;
  } else {
    ++counters_.dropped_down;
  }
}

}  // namespace rookery::netsim
