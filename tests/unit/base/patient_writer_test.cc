#include "base/patient_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>

#include "base/file.h"

namespace rookery {

namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    ours = UniqueFd(ends[0]);
    its = UniqueFd(ends[1]);
    room = static_cast<std::size_t>(::fcntl(its.get(), F_GETPIPE_SZ));
  }
  std::string read(std::size_t count) const {
    std::string text(count, '\0');
    std::size_t had = 0;
    while (had < count) {
      const ssize_t got = ::read(ours.get(), text.data() + had, count - had);
      if (got <= 0) break;
      had += static_cast<std::size_t>(got);
    }
    text.resize(had);
    return text;
  }

  UniqueFd ours, its;
  std::size_t room = 0;
};

constexpr Duration kLong = std::chrono::seconds(60);

}  // namespace

BOOST_AUTO_TEST_SUITE(patient_writer)

BOOST_AUTO_TEST_CASE(what_is_written_arrives_in_order) {
  Pipe pipe;
  PatientWriter writer(pipe.its.get());
  writer.write("one\n");
  writer.write("two\n");
  BOOST_TEST(writer.drain(kLong));
  BOOST_TEST(pipe.read(8) == "one\ntwo\n");
  BOOST_TEST(writer.problem().has_value());
}

BOOST_AUTO_TEST_CASE(who_writes_to_a_full_pipe_does_not_wait_and_what_was_lost_is_said) {
  Pipe pipe;  // its pages are filled by quarters, to the last byte
  PatientWriter writer(pipe.its.get(), Bytes{1024});
  writer.write(std::string(1024, 'a'));  // the pipe takes it
  BOOST_REQUIRE(writer.drain(kLong));
  for (std::size_t filled = 1024; filled < pipe.room; filled += 1024) {
    writer.write(std::string(std::min<std::size_t>(1024, pipe.room - filled), 'b'));
    BOOST_REQUIRE(writer.drain(kLong));
  }
  writer.write(std::string(1024, 'c'));  // waits for room
  for (int i = 0; i < 7; ++i) writer.write("lost\n");
  BOOST_TEST(!writer.drain(Duration{0}));
  BOOST_TEST(pipe.read(pipe.room + 1024).ends_with(std::string(1024, 'c')));
  BOOST_REQUIRE(writer.drain(kLong));
  writer.write("again\n");
  const std::string wanted = "(7 messages are missing here: nobody read them)\nagain\n";
  BOOST_TEST(pipe.read(wanted.size()) == wanted);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_written_is_a_problem_and_holds_nobody_up) {
  struct sigaction none {
  }, before{};
  none.sa_handler = [](int) {};
  ::sigaction(SIGPIPE, &none, &before);
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  PatientWriter to_full(full.get());
  to_full.write("x");
  to_full.write("y");
  BOOST_TEST(to_full.drain(kLong));
  BOOST_TEST(to_full.problem().error().message == "No space left on device");
  Pipe pipe;
  pipe.ours.reset();
  PatientWriter to_nobody(pipe.its.get());
  to_nobody.write("x");
  BOOST_TEST(to_nobody.drain(kLong));
  BOOST_TEST(to_nobody.problem().error().message == "Broken pipe");
  ::sigaction(SIGPIPE, &before, nullptr);
}

BOOST_AUTO_TEST_CASE(a_descriptor_that_does_not_block_is_waited_for) {
  Pipe pipe;
  ::fcntl(pipe.its.get(), F_SETFL, O_NONBLOCK);
  PatientWriter writer(pipe.its.get());
  const std::string text(2 * pipe.room, 'x');
  writer.write(text);
  BOOST_TEST(pipe.read(text.size()) == text);
  BOOST_TEST(writer.drain(kLong));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery
