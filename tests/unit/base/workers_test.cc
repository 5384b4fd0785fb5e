#include "base/loop/workers.h"

#include <boost/test/unit_test.hpp>
#include <future>

namespace rookery {
namespace {

constexpr Duration kLimit = std::chrono::seconds(30);

struct Bench {
  EventLoop loop{std::make_unique<WallPacer>()};
  std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>(loop);
  std::shared_ptr<Workers> workers = std::make_shared<Workers>(2);
};

}  // namespace

BOOST_AUTO_TEST_SUITE(workers)

BOOST_AUTO_TEST_CASE(what_a_job_posts_runs_on_the_loop) {
  Bench bench;
  const auto here = std::this_thread::get_id();
  std::thread::id ran, posted;
  bool done = false;
  BOOST_TEST(bench.workers->run([&] {
    ran = std::this_thread::get_id();
    bench.inbox->post([&] {
      posted = std::this_thread::get_id();
      done = true;
    });
  }));
  BOOST_REQUIRE(bench.loop.run_until([&] { return done; }, kLimit));
  BOOST_TEST((ran != here && posted == here));
}

BOOST_AUTO_TEST_CASE(a_blocked_job_does_not_hold_up_another) {
  std::promise<void> release;
  auto released = release.get_future();
  std::atomic<bool> first = false, second = false;
  Bench bench;  // last: its end waits for the jobs that use the others
  bench.workers->run([&] {
    released.wait();
    first = true;
  });
  bench.workers->run([&] {
    second = true;
    bench.inbox->post([] {});
  });
  BOOST_REQUIRE(bench.loop.run_until([&] { return second.load(); }, kLimit));
  BOOST_TEST(!first);
  release.set_value();
}

BOOST_AUTO_TEST_CASE(the_jobs_of_a_strand_run_one_after_another_in_order) {
  Bench bench;
  const auto strand = std::make_shared<Strand>(bench.workers);
  std::string order;
  for (const char c : std::string("abcdefgh")) BOOST_TEST(strand->run([&order, c] { order += c; }));
  BOOST_TEST(strand->wait(kLimit));
  BOOST_TEST(order == "abcdefgh");
}

BOOST_AUTO_TEST_CASE(a_strand_and_the_queue_take_only_so_many_jobs) {
  Bench bench;
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future();
  const auto strand = std::make_shared<Strand>(bench.workers);
  std::size_t taken = 0;
  while (taken <= 2 * Strand::kQueueLimit && strand->run([released] { released.wait(); })) ++taken;
  BOOST_TEST(taken >= Strand::kQueueLimit);
  BOOST_TEST(taken <= Strand::kQueueLimit + 1);  // one of them is out of the queue
  BOOST_TEST(!strand->wait(Duration(0)));
  taken = 0;
  while (taken <= 2 * Workers::kQueueLimit && bench.workers->run([released] { released.wait(); })) ++taken;
  BOOST_TEST(taken >= Workers::kQueueLimit - 1);
  BOOST_TEST(taken <= Workers::kQueueLimit + 2);
  release.set_value();
  BOOST_TEST(strand->wait(kLimit));
}

BOOST_AUTO_TEST_CASE(a_closed_inbox_drops_what_comes_and_what_was_there) {
  Bench bench;
  bool ran = false;
  bench.inbox->post([&] { ran = true; });
  bench.inbox->close();
  bench.inbox->post([&] { ran = true; });
  bench.loop.run_until([] { return false; }, Duration(0));
  BOOST_TEST(!ran);
}

BOOST_AUTO_TEST_CASE(who_posts_more_than_an_inbox_holds_waits_for_the_loop) {
  Bench bench;
  constexpr std::size_t kAll = Inbox::kLimit + 1000;
  std::atomic<std::size_t> posted = 0;
  std::size_t ran = 0;
  bench.workers->run([&] {
    for (std::size_t i = 0; i < kAll; ++i, ++posted) bench.inbox->post([&] { ++ran; });
  });
  while (posted < Inbox::kLimit) std::this_thread::yield();
  bench.inbox->post([] {});  // the loop's own is always taken
  BOOST_TEST(posted <= Inbox::kLimit);
  BOOST_REQUIRE(bench.loop.run_until([&] { return ran == kAll; }, kLimit));
  BOOST_TEST(posted == kAll);
}

BOOST_AUTO_TEST_CASE(an_inbox_that_is_closed_lets_go_who_waits) {
  Bench bench;
  std::promise<void> through;
  bench.workers->run([&] {
    for (std::size_t i = 0; i < 2 * Inbox::kLimit; ++i) bench.inbox->post([] {});
    through.set_value();
  });
  bench.inbox->close();
  BOOST_TEST((through.get_future().wait_for(kLimit) == std::future_status::ready));
}

BOOST_AUTO_TEST_CASE(workers_that_are_gone_take_nothing) {
  Bench bench;
  const auto strand = std::make_shared<Strand>(bench.workers);
  bench.workers.reset();
  BOOST_TEST(!strand->run([] {}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery
