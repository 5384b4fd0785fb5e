#include <sys/socket.h>

#include <boost/test/unit_test.hpp>

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
  EventLoop loop(std::make_unique<LockstepPacer>(std::chrono::seconds(20), [] { BOOST_FAIL("stuck"); }));
  const auto controller = Controller::listen(loop, folder->path() / "time").value();
  controller->starting();
  const UniqueFd guest = connect_unix(folder->path() / "time").value();
  const auto say = [&](Operation operation, std::uint64_t time) {
    const ByteBuffer bytes = encode(Message{operation, 1, time});
    BOOST_REQUIRE(::send(guest.get(), bytes.data(), bytes.size(), 0) == 16);
  };
  const auto hear = [&] {
    ByteBuffer bytes(kMessageSize);
    BOOST_REQUIRE(::recv(guest.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) == 16);
    return parse_message(bytes);
  };
  // It starts, asks to run at 5 ms, and yields; something else happens at 3 ms, when it is told of it by a
  // call.
  say(Operation::start, 0);
  say(Operation::get_time_of_day, 0);
  say(Operation::request, 5'000'000);
  say(Operation::wait, 0);
  Time other{};
  loop.at(Time{std::chrono::milliseconds(3)}, [&] { other = loop.now(); });
  loop.at(Time{std::chrono::milliseconds(5)}, [&] {});
  loop.run_until([&] { return loop.now() >= Time{std::chrono::milliseconds(4)}; }, std::chrono::seconds(1));
  BOOST_TEST((other == Time{std::chrono::milliseconds(3)}));
  BOOST_TEST((hear().operation == Operation::ack));
  BOOST_TEST(hear().time == kTimeOfDayAtStart);
  BOOST_TEST((hear().operation == Operation::ack));
  BOOST_TEST((hear().operation == Operation::ack));
  // The grant holds time until the guest waits again: it does, and asks for nothing more.
  loop.soon([] {});
  say(Operation::request, ~std::uint64_t{0} >> 1);
  say(Operation::wait, 0);
  loop.run_until([] { return false; }, std::chrono::milliseconds(10));
  const Message run = hear();
  BOOST_TEST((run.operation == Operation::run));
  BOOST_TEST(run.time == 5'000'000u);
  controller->ended();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::backends
