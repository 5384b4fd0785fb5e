#include "base/command.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <thread>

#include "base/file.h"
#include "base/unique_fd.h"

using namespace rookery;

BOOST_AUTO_TEST_SUITE(command)

// All that it has started is asked, and what it does at its end is waited for.
BOOST_AUTO_TEST_CASE(ends_with_all_that_it_has_started_when_it_is_asked_to_stop) {
  const auto folder = TemporaryFolder::make("/tmp", "rookery-test-").value();
  const UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  Command command{{"bash", "-c",
                   "trap 'echo cleaned >end' EXIT; (trap 'echo asked >inner; exit' TERM; echo begun >&2; "
                   "while :; do sleep 1000 & wait; done); true"},
                  folder.path()};
  command.stop = stop.get();
  command.on_line = [&](std::string_view) {
    const std::uint64_t one = 1;
    BOOST_REQUIRE(::write(stop.get(), &one, sizeof one) == sizeof one);
  };
  const auto done = run_checked(command);
  BOOST_REQUIRE(!done);
  BOOST_TEST(read_file(folder.path() / "end").value() == "cleaned\n");
  BOOST_TEST(read_file(folder.path() / "inner").value() == "asked\n");
}

BOOST_AUTO_TEST_CASE(one_that_closes_its_input_early_harms_nobody_in_any_thread) {
  Command command{{"true"}, {}};
  command.input.assign(1 << 20, 'x');
  const auto run = [&] {
    for (int i = 0; i < 20; ++i) {
      if (!run_checked(command)) std::abort();
    }
  };
  std::thread one(run), two(run);
  one.join();
  two.join();
}

BOOST_AUTO_TEST_SUITE_END()
