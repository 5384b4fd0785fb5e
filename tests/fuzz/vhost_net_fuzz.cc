// What a hostile guest can say to a network port, in whatever order, over a real socket: messages with and
// without descriptors, rings in memory that it shares and changes, frames that come for it meanwhile. The
// input's first half becomes the memory, the rest is a list of what is done.
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "base/unix_socket.h"
#include "netsim/ports/vhost_net.h"

namespace {

using namespace rookery;
using vhost_user::Request;

constexpr std::size_t kMemory = 1 << 16, kGiven = 512;
constexpr std::uint64_t kBase = 0x10000;

class Guest {
 public:
  Guest()
      : folder_(TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-fuzz-").value()),
        loop_(std::make_unique<WallPacer>()),
        port_(netsim::VhostNetPort::listen(loop_, folder_.path() / "s", netsim::MacAddress::from_bits(2),
                                           {.offload = true})
                  .value()),
        socket_(connect_unix(folder_.path() / "s").value()),
        file_(::memfd_create("guest", MFD_CLOEXEC)) {
    if (::ftruncate(file_.get(), kMemory) != 0) __builtin_trap();
    port_->connect(network_);
  }

  void write_memory(ByteView bytes) {
    if (::pwrite(file_.get(), bytes.data(), bytes.size(), 0) < 0) __builtin_trap();
  }
  // What does not fit into the socket is not said: the port is behind.
  void say(Request request, ByteView payload, int file = -1) {
    const ByteBuffer message =
        vhost_user::encode(static_cast<std::uint32_t>(request), vhost_user::kFlagNeedReply, payload);
    (void)send_with_files(socket_.get(), message, std::span(&file, file >= 0 ? 1 : 0), MSG_DONTWAIT);
  }
  void share_memory() {
    say(Request::set_mem_table,
        ByteWriter().le32(1).le32(0).le64(kBase).le64(kMemory).le64(kBase).le64(0).take(), file_.get());
  }
  // The rings are in what the input filled.
  void start_queue(std::uint32_t queue) {
    const std::uint64_t rings = kBase + 0x100 * (queue & 1);
    say(Request::set_vring_num, ByteWriter().le32(queue).le32(4).take());
    say(Request::set_vring_addr,
        ByteWriter().le32(queue).le32(0).le64(rings).le64(rings + 0x80).le64(rings + 0x40).le64(0).take());
    say(Request::set_vring_enable, ByteWriter().le32(queue).le32(1).take());
  }
  void hand_over(Request request, std::uint32_t queue, bool event) {
    const UniqueFd events(::eventfd(1, EFD_CLOEXEC));
    say(request, ByteWriter().le64(queue).take(), event ? events.get() : file_.get());
  }
  void shrink() { (void)!::ftruncate(file_.get(), 4096); }
  void send_frame(std::size_t size) {
    netsim::FrameBuilder builder(std::max(size, netsim::kSmallestFrame));
    const auto bytes = builder.bytes();
    std::fill(bytes.begin(), bytes.end(), std::uint8_t{2});
    port_->send(std::move(builder).freeze());
  }
  void let_the_port_work() {
    loop_.run_until([] { return false; }, Duration{0});
    std::array<char, 4096> answers;
    while (::recv(socket_.get(), answers.data(), answers.size(), MSG_DONTWAIT) > 0) {
    }
  }

 private:
  TemporaryFolder folder_;
  EventLoop loop_;
  netsim::NullPort network_;
  std::unique_ptr<netsim::VhostNetPort> port_;
  UniqueFd socket_, file_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Guest guest;
  ByteReader input({data, size});
  guest.write_memory(input.take(std::min(size / 2, kGiven)));
  for (int steps = 0; steps < 64 && input.remaining() > 0; ++steps) {
    const std::uint8_t what = input.u8();
    const std::uint32_t number = input.u8();
    switch (what % 10) {
      case 0:
        guest.share_memory();
        break;
      case 1:
        guest.start_queue(number);
        break;
      case 2:
        guest.say(Request::vring_kick, ByteWriter().le32(number).le32(0).take());
        break;
      case 3:
        guest.hand_over(Request::set_vring_kick, number & 3, number < 192);
        break;
      case 4:
        guest.hand_over(Request::set_vring_call, number & 3, number < 192);
        break;
      case 5:
        guest.hand_over(Request::set_slave_req_fd, 0, number < 128);
        break;
      case 6:
        guest.send_frame(number * 8);
        break;
      case 7:
        if (number < 16) guest.shrink();
        guest.write_memory(input.take(std::min<std::size_t>(number, input.remaining())));
        break;
      case 8:
        guest.let_the_port_work();
        break;
      default:  // any request, with whatever follows
        guest.say(static_cast<Request>(number),
                  input.take(std::min<std::size_t>(number % 48, input.remaining())));
    }
  }
  guest.let_the_port_work();
  return 0;
}
