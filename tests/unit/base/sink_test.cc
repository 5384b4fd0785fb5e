#include "base/sink.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "base/file.h"

namespace rookery {
namespace {

constexpr Duration kLimit = std::chrono::seconds(20);
constexpr Duration kSoon = std::chrono::milliseconds(20);

struct Folder {
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-sink").value();
  std::filesystem::path file() const { return folder.path() / "out"; }
  std::filesystem::path fifo() const {
    BOOST_REQUIRE_EQUAL(::mkfifo(file().c_str(), 0600), 0);
    return file();
  }
};

struct Pipe {
  UniqueFd read_end, write_end;
  Pipe() {
    int ends[2];
    BOOST_REQUIRE_EQUAL(::pipe2(ends, O_CLOEXEC), 0);
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
  }
};

std::string read_all(int fd) {
  std::string text;
  std::array<char, 65536> block;
  for (ssize_t got; (got = ::read(fd, block.data(), block.size())) > 0;)
    text.append(block.data(), static_cast<std::size_t>(got));
  return text;
}

void wait_for_news(const Sink& sink) {
  pollfd news{sink.news(), POLLIN, 0};
  BOOST_REQUIRE_EQUAL(::poll(&news, 1, 20'000), 1);
}

std::unique_ptr<Sink> into(const std::filesystem::path& path, Sink::Rules rules = {.name = "the file"}) {
  auto sink = Sink::open(path, std::move(rules));
  BOOST_REQUIRE_MESSAGE(sink.has_value(), (sink ? "" : sink.error().message));
  return std::move(*sink);
}

std::unique_ptr<Sink> into(UniqueFd fd, Sink::Rules rules = {.name = "the pipe"}) {
  return Sink::of(std::move(fd), false, std::move(rules)).value();
}

const std::string kKilobyte(1000, 'x');
constexpr int kPipeHolds = 1 << 20;  // more bytes than any pipe's

}  // namespace

BOOST_AUTO_TEST_SUITE(sink)

BOOST_AUTO_TEST_CASE(what_is_put_is_in_the_file_in_order_and_whole_pieces_are_counted) {
  Folder folder;
  const auto sink = into(folder.file());
  BOOST_TEST(sink->put(as_bytes("head "), Sink::As::rest));
  for (const char* piece : {"one ", "two ", "three"}) BOOST_TEST(sink->put(as_bytes(piece)));
  BOOST_TEST(sink->flush(kLimit).has_value());
  BOOST_TEST(read_file(folder.file()).value() == "head one two three");
  BOOST_TEST(sink->pieces_written() == 3U);
  BOOST_TEST(sink->bytes_written() == 18U);
  BOOST_TEST(sink->close(kLimit).has_value());
  BOOST_TEST((sink->state() == Sink::State::done));
  BOOST_TEST(!sink->put(as_bytes("too late")));
}

BOOST_AUTO_TEST_CASE(what_is_put_is_in_the_file_without_a_flush) {
  Folder folder;
  const auto sink = into(folder.file());
  BOOST_TEST(sink->put(as_bytes("seen")));
  std::string seen;
  for (int look = 0; look < 20'000 && seen.empty(); ++look) {
    ::poll(nullptr, 0, 1);
    seen = read_file(folder.file()).value();
  }
  BOOST_TEST(seen == "seen");
}

BOOST_AUTO_TEST_CASE(who_does_not_read_holds_nobody_up_and_what_does_not_fit_is_refused) {
  Pipe pipe;
  const auto sink = into(std::move(pipe.write_end), {.name = "the pipe", .most = Bytes{kPipeHolds}});
  int taken = 0, refused = 0;
  for (int i = 0; i < 3 * kPipeHolds / 1000; ++i) ++(sink->put(as_bytes(kKilobyte)) ? taken : refused);
  BOOST_TEST(taken > 0);
  BOOST_TEST(refused > 0);
  BOOST_TEST(sink->put(as_bytes("must be there"), Sink::As::always));
  const Status closed = sink->close(kSoon);
  BOOST_REQUIRE(!closed.has_value());
  BOOST_TEST(closed.error().message == "the pipe was not read to its end");
  BOOST_TEST(sink->pieces_written() < static_cast<std::uint64_t>(taken));
}

BOOST_AUTO_TEST_CASE(a_reader_that_leaves_ends_it_and_not_the_process) {
  for (const bool is_pipe : {true, false}) {
    Pipe pipe;
    int pair[2];
    BOOST_REQUIRE_EQUAL(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    UniqueFd ours(pair[0]), theirs(pair[1]);
    const auto sink = into(is_pipe ? std::move(pipe.write_end) : std::move(ours));
    pipe.read_end.reset();
    theirs.reset();
    BOOST_TEST(sink->put(as_bytes("nobody's")));
    wait_for_news(*sink);
    BOOST_TEST((sink->state() == Sink::State::reader_left));
    BOOST_TEST(sink->status().error().message == "nobody reads the pipe any more");
    BOOST_TEST(sink->pieces_written() == 0U);
    BOOST_TEST(!sink->put(as_bytes("more")));
  }
}

BOOST_AUTO_TEST_CASE(a_reader_that_leaves_is_missed_when_there_is_nothing_to_write) {
  Pipe pipe;
  const auto sink = into(std::move(pipe.write_end));
  pipe.read_end.reset();
  wait_for_news(*sink);
  BOOST_TEST((sink->state() == Sink::State::reader_left));
}

BOOST_AUTO_TEST_CASE(a_fifo_is_opened_when_somebody_reads_it_and_he_gets_all) {
  Folder folder;
  const auto fifo = folder.fifo();
  const auto sink = into(fifo);
  BOOST_TEST(sink->put(as_bytes("from the beginning")));
  const UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_CLOEXEC));
  BOOST_TEST(sink->close(kLimit).has_value());
  BOOST_TEST(read_all(reader.get()) == "from the beginning");
}

BOOST_AUTO_TEST_CASE(a_fifo_that_nobody_reads_is_given_up) {
  Folder folder;
  const auto sink = into(folder.fifo(), {.name = "the capture p"});
  BOOST_TEST(sink->put(as_bytes("nobody's")));
  const Status closed = sink->close(kSoon);
  BOOST_REQUIRE(!closed.has_value());
  BOOST_TEST(closed.error().message == "nobody opened the capture p to read it");
}

BOOST_AUTO_TEST_CASE(says_what_it_cannot_write) {
  const auto full = into("/dev/full", {.name = "the capture /dev/full"});
  BOOST_TEST(full->put(as_bytes("no room")));
  wait_for_news(*full);
  BOOST_TEST(full->status().error().message == "cannot write the capture /dev/full: No space left on device");
  const auto nowhere = Sink::open("/proc/x.pcapng", {.name = "the capture /proc/x.pcapng"});
  BOOST_REQUIRE(!nowhere.has_value());
  BOOST_TEST(nowhere.error().message.starts_with("cannot write the capture /proc/x.pcapng: "));
}

BOOST_AUTO_TEST_CASE(a_limit_of_file_sizes_is_an_error_and_does_not_end_the_process) {
  Folder folder;
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{100, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const auto sink = into(folder.file());
  BOOST_TEST(sink->put(as_bytes(std::string(60, 'a'))));
  BOOST_TEST(sink->put(as_bytes(std::string(60, 'b'))));
  wait_for_news(*sink);
  ::setrlimit(RLIMIT_FSIZE, &before);
  BOOST_TEST(sink->status().error().message == "cannot write the file: File too large");
  BOOST_TEST(sink->pieces_written() == 1U);
}

BOOST_AUTO_TEST_CASE(a_file_has_one_writer_and_the_second_does_not_empty_it) {
  Folder folder;
  const auto first = into(folder.file());
  BOOST_TEST(first->put(as_bytes("the first's")));
  BOOST_TEST(first->flush(kLimit).has_value());
  std::filesystem::create_hard_link(folder.file(), folder.folder.path() / "other");
  const auto second = Sink::open(folder.folder.path() / "other", {.name = "the capture other"});
  BOOST_REQUIRE(!second.has_value());
  BOOST_TEST(second.error().message == "the capture other is being written already, by another command");
  BOOST_TEST(read_file(folder.file()).value() == "the first's");
  BOOST_TEST(first->close(kLimit).has_value());
  BOOST_TEST(into(folder.file())->close(kLimit).has_value());
  BOOST_TEST(read_file(folder.file()).value().empty());
  into("/dev/null");
  into("/dev/null");
}

BOOST_AUTO_TEST_CASE(waits_for_a_slow_reader_where_it_is_told_to_and_loses_nothing) {
  Pipe pipe;
  const auto sink = into(std::move(pipe.write_end),
                         {.name = "the trace", .most = Bytes{4096}, .when_full = Sink::WhenFull::wait});
  std::string read;
  std::thread reader([&] { read = read_all(pipe.read_end.get()); });
  int taken = 0;
  for (int i = 0; i < 2 * kPipeHolds / 1000; ++i) taken += sink->put(as_bytes(kKilobyte)) ? 1 : 0;
  BOOST_TEST(sink->close(kLimit).has_value());
  reader.join();
  BOOST_TEST(taken == 2 * kPipeHolds / 1000);
  BOOST_TEST(read.size() == kKilobyte.size() * static_cast<std::size_t>(taken));
}

BOOST_AUTO_TEST_CASE(does_not_wait_for_ever_for_who_reads_nothing) {
  Pipe pipe;
  const auto sink =
      into(std::move(pipe.write_end),
           {.name = "the trace", .most = Bytes{4096}, .when_full = Sink::WhenFull::wait, .patience = kSoon});
  for (int i = 0; i < 2 * kPipeHolds / 1000 && sink->put(as_bytes(kKilobyte)); ++i) {
  }
  BOOST_TEST(sink->status().error().message == "the trace was not read to its end");
}

BOOST_AUTO_TEST_CASE(it_is_all_the_same_whether_the_descriptor_blocks) {
  Pipe pipe;
  ::fcntl(pipe.write_end.get(), F_SETFL, O_NONBLOCK);
  const auto sink = into(std::move(pipe.write_end));
  const std::string much(2 * kPipeHolds, 'm');
  BOOST_TEST(sink->put(as_bytes(much)));
  sink->close();
  BOOST_TEST(read_all(pipe.read_end.get()) == much);
  BOOST_TEST(sink->close(kLimit).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery
