#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>

#include "backends/uml/time_travel/controller.h"
#include "backends/uml/uml_backend.h"
#include "base/file.h"
#include "base/unix_socket.h"

namespace rookery::backends {

BOOST_AUTO_TEST_SUITE(uml)

BOOST_AUTO_TEST_CASE(nothing_of_one_machine_is_in_its_kernel_s_arguments) {
  MachineSpec first, second;
  first.name = "n1";
  second.name = "n2";
  first.folder = "/run/a/n1";
  second.folder = "/run/b/n2";
  first.seed = 1;
  second.seed = 2;
  for (MachineSpec* spec : {&first, &second}) {
    spec->memory = mebibytes(64);
    spec->nics = {{{}, "net0", nullptr}, {{}, "net1", nullptr}};
    spec->disks = {{"disk0"}};
    spec->command_line = "quiet  panic=-1";
  }
  const auto arguments = uml_arguments(first, true);
  BOOST_TEST(arguments == uml_arguments(second, true));
  BOOST_TEST(arguments == (std::vector<std::string>{
                              "mem=64M", "initrd=initramfs", "con=null", "con0=fd:0,fd:1", "seccomp=auto",
                              "uml_dir=.", "umid=uml", "virtio_uml.device=net0:1", "virtio_uml.device=net1:1",
                              "virtio_uml.device=disk0:2", "time-travel=ext:time", "quiet", "panic=-1"}));
}

BOOST_AUTO_TEST_CASE(a_guest_under_time_travel_gets_the_time_it_asks_for) {
  using namespace time_travel;
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-");
  EventLoop loop(std::make_unique<LockstepPacer>(LockstepRules{}, [](const auto&) { BOOST_FAIL("stuck"); }));
  const auto lane = Lane::make(loop, "guest");
  constexpr Duration kClock = std::chrono::seconds(1'800'000'000);
  const auto controller = Controller::listen(loop, folder->path() / "time", *lane, kClock).value();
  controller->starting();
  const UniqueFd guest = connect_unix(folder->path() / "time").value();
  const auto say = [&](Operation operation, std::uint64_t time) {
    const ByteBuffer bytes = encode(Message{operation, 1, time});
    BOOST_REQUIRE(::send(guest.get(), bytes.data(), bytes.size(), 0) == 16);
  };
  const auto hear = [&](int* segment = nullptr) {
    ByteBuffer bytes(kMessageSize);
    iovec part{bytes.data(), bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    BOOST_REQUIRE(::recvmsg(guest.get(), &header, MSG_DONTWAIT) == 16);
    if (segment != nullptr) {
      BOOST_REQUIRE(CMSG_FIRSTHDR(&header) != nullptr);
      int files[2];
      std::memcpy(files, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof files);
      *segment = files[0];
      ::close(files[1]);
    }
    return parse_message(bytes);
  };
  // It starts, asks to run at 5 ms, and yields.
  say(Operation::start, 0);
  say(Operation::get_time_of_day, 0);
  Message run;
  int file = -1;
  bool waited = false, granted = false;
  const Watch watch = loop.watch(guest.get(), EPOLLIN, [&](std::uint32_t) {
    const Message message = hear(file < 0 ? &file : nullptr);
    if (message.operation == Operation::run) {
      run = message;
      granted = true;
      say(Operation::wait, 6'000'000);
      return;
    }
    BOOST_TEST((message.operation == Operation::ack));
    if (waited) return;
    if (message.time != static_cast<std::uint64_t>(kClock.count())) return;
    auto* segment = static_cast<std::uint8_t*>(
        ::mmap(nullptr, shared::kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    BOOST_REQUIRE(segment != MAP_FAILED);
    const std::uint64_t at = 5'000'000;
    const std::uint32_t wants = shared::kWantsToRun;
    std::memcpy(segment + shared::kRequestTimeAt, &at, sizeof at);
    std::memcpy(segment + shared::kFlagsAt, &wants, sizeof wants);
    ::munmap(segment, shared::kSize);
    waited = true;
    say(Operation::wait, 0);
  });
  loop.run_until([&] { return granted; }, std::chrono::milliseconds(20));
  BOOST_TEST(run.time == 5'000'000u);
  // Nobody can make the segment smaller under us.
  BOOST_TEST(::ftruncate(file, 0) != 0);
  ::close(file);
  controller->ended();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::backends
