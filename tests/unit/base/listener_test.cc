#include "base/listener.h"

#include <sys/resource.h>

#include <boost/test/unit_test.hpp>

#include "base/file.h"
#include "base/unix_socket.h"

namespace rookery {
namespace {

// As long as it lives this process gets no new descriptor.
struct NoDescriptors {
  rlimit before{};
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before);
    const rlimit none{0, before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(listener)

BOOST_AUTO_TEST_CASE(a_peer_for_whom_no_descriptor_is_left_waits_and_the_loop_does_not_spin) {
  const TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  EventLoop loop(std::make_unique<WallPacer>());
  std::vector<UniqueFd> peers;
  const Listener listening(loop, listen_unix(folder.path() / "s").value(),
                           [&](UniqueFd peer) { peers.push_back(std::move(peer)); });
  const UniqueFd first = connect_unix(folder.path() / "s").value();
  {
    const NoDescriptors none;
    unsigned turns = 0;
    loop.run_until([&] { return ++turns > 100; }, 3 * Listener::kRest);
    BOOST_TEST(turns <= 100U);
    BOOST_TEST(peers.empty());
  }
  BOOST_REQUIRE(loop.run_until([&] { return !peers.empty(); }, std::chrono::seconds(20)));
  const UniqueFd second = connect_unix(folder.path() / "s").value();
  BOOST_REQUIRE(loop.run_until([&] { return peers.size() == 2; }, std::chrono::seconds(20)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery
