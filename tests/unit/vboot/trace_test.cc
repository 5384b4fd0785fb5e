#include "vboot/trace/trace.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <random>
#include <thread>

#include "base/file.h"
#include "vboot/trace/compare.h"
#include "vboot/trace/trace_reader.h"

namespace rookery::vboot {
namespace {

using netsim::Direction;
using std::chrono::milliseconds;

// One run of two machines of which a test says what happens in it.
struct Traced {
  EventLoop loop{std::make_unique<VirtualPacer>()};
  std::unique_ptr<Trace> trace;
  std::filesystem::path file;

  explicit Traced(const TemporaryFolder& folder, const std::string& name = "run", Bytes keep = Bytes{512})
      : file(folder.path() / name) {
    const Json header =
        Json::object()
            .set("seed", Json::integer(7))
            .set("machines", Json::array().add(Json::string("server")).add(Json::string("n1")));
    trace = Trace::create(loop, header, {.file = file, .keep_frames = keep}).value();
  }
  void at(int ms, Action action) { loop.at(Time{milliseconds(ms)}, std::move(action)); }
  void frame(std::uint32_t tag, std::string payload) {
    ByteBuffer bytes(14, 0);
    bytes[12] = 0x88;
    bytes[13] = 0xb5;
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    trace->seen(tag, Direction::outbound, netsim::Frame::copy(bytes));
  }
  std::string finish() {
    loop.run();
    return to_hex(trace->finish().value().digest);
  }
};

TemporaryFolder folder() {
  return TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-trace-").value();
}

void some_boot(Traced& run, const std::string& payload) {
  run.at(1, [&run] { run.trace->note(RecordKind::machine, 0, "firmware"); });
  run.at(2, [&run] { run.frame(0, "hello"); });
  run.at(3, [&run] { run.trace->console(1, "Linux version 7\r\nsecond"); });
  run.at(4, [&run, payload] { run.frame(2, payload); });
  run.at(5, [&run] { run.trace->console(1, " line\n"); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(trace)

BOOST_AUTO_TEST_CASE(what_was_written_is_read_back) {
  const TemporaryFolder place = folder();
  Traced run(place);
  some_boot(run, std::string(2000, 'x'));
  run.finish();
  const auto reader = TraceReader::open(run.file);
  BOOST_REQUIRE(reader.has_value());
  BOOST_TEST(*(*reader)->header().find("seed")->as_integer() == 7);
  std::vector<std::string> words;
  for (auto record = (*reader)->next().value(); record; record = (*reader)->next().value()) {
    words.push_back(std::string(to_string(record->kind)) + " " +
                    std::to_string(record->time.since_start.count() / 1'000'000) + " " + record->text +
                    (record->length > 0 ? std::to_string(record->kept.size()) : ""));
  }
  BOOST_TEST(
      (words == std::vector<std::string>{"machine 1 firmware", "frame 2 19", "console 3 Linux version 7",
                                         "frame 4 512", "console 5 second line", "end 5 "}));
}

BOOST_AUTO_TEST_CASE(who_reads_a_fifo_slowly_slows_the_run_and_gets_all_of_it) {
  const TemporaryFolder place = folder();
  Traced whole(place, "file");
  const auto fifo = place.path() / "fifo";
  BOOST_REQUIRE_EQUAL(::mkfifo(fifo.c_str(), 0600), 0);
  std::string read;
  std::thread reader([&] { read = read_file(fifo).value(); });
  Traced piped(place, "fifo");
  std::mt19937 random(1);
  std::string noise(1u << 16, 'x');  // that no compressor makes smaller
  for (int i = 0; i < 100; ++i) {
    for (char& c : noise) c = static_cast<char>(random());
    for (Traced* run : {&whole, &piped})
      run->at(i, [run, noise] { run->trace->note(RecordKind::machine, 0, noise); });
  }
  BOOST_TEST(whole.finish() == piped.finish());
  reader.join();
  BOOST_TEST(read.size() > std::size_t{1} << 18);  // more than a pipe holds
  BOOST_TEST((read == read_file(whole.file).value()));
}

BOOST_AUTO_TEST_CASE(a_trace_that_cannot_be_written_is_an_error_by_name) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  for (const auto& [file, why] :
       {std::pair{"/dev/full", "cannot write the trace /dev/full: No space left on device"},
        std::pair{"/proc/x", "cannot write the trace /proc/x: No such file or directory"}}) {
    const auto made = Trace::create(loop, Json::object(), {.file = file});
    BOOST_REQUIRE(!made.has_value());
    BOOST_TEST(made.error().message == why);
  }
}

BOOST_AUTO_TEST_CASE(a_reader_that_leaves_ends_the_run_and_the_error_says_so) {
  const TemporaryFolder place = folder();
  const auto fifo = place.path() / "fifo";
  BOOST_REQUIRE_EQUAL(::mkfifo(fifo.c_str(), 0600), 0);
  EventLoop loop(std::make_unique<VirtualPacer>());
  bool told = false;
  TraceOptions options{.file = fifo};
  options.on_failure = [&] { told = true; };
  UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  auto trace = Trace::create(loop, Json::object(), options).value();
  reader.reset();
  std::mt19937 random(1);
  for (int i = 0; i < 20'000 && !told; ++i) {
    std::string noise(1u << 10, 'x');
    for (char& c : noise) c = static_cast<char>(random());
    trace->note(RecordKind::machine, 0, noise);
  }
  BOOST_TEST(told);
  const auto ended = trace->finish();
  BOOST_REQUIRE(!ended.has_value());
  BOOST_TEST(ended.error().message == "nobody reads the trace " + fifo.string() + " any more");
}

BOOST_AUTO_TEST_CASE(the_same_run_has_the_same_digest_however_its_frames_are_kept) {
  const TemporaryFolder place = folder();
  Traced one(place, "one"), other(place, "other", Bytes{0});
  some_boot(one, "payload");
  some_boot(other, "payload");
  BOOST_TEST(one.finish() == other.finish());
  BOOST_TEST(!first_difference(one.file, other.file).value().has_value());
}

BOOST_AUTO_TEST_CASE(the_digest_sees_a_changed_byte_time_direction_and_console) {
  EventLoop loop(std::make_unique<VirtualPacer>());
  const auto digest = [&](std::string payload, std::uint32_t tag, netsim::Direction direction,
                          std::string console) {
    Trace run(loop);
    payload.resize(60);
    run.seen(tag, direction, netsim::Frame::copy(as_bytes(payload)));
    for (char c : console) run.console(1, std::string_view(&c, 1));  // in whatever pieces
    return run.finish()->digest;
  };
  const auto base = digest("abc", 0, netsim::Direction::inbound, "hi");
  BOOST_TEST((base == digest("abc", 0, netsim::Direction::inbound, "hi")));
  BOOST_TEST((base != digest("abd", 0, netsim::Direction::inbound, "hi")));
  BOOST_TEST((base != digest("abc", 1, netsim::Direction::inbound, "hi")));
  BOOST_TEST((base != digest("abc", 0, netsim::Direction::outbound, "hi")));
  BOOST_TEST((base != digest("abc", 0, netsim::Direction::inbound, "ho")));
}

BOOST_AUTO_TEST_CASE(one_payload_byte_is_found_and_shown) {
  const TemporaryFolder place = folder();
  Traced one(place, "one"), other(place, "other");
  some_boot(one, "payload a");
  some_boot(other, "payload b");
  BOOST_TEST(one.finish() != other.finish());
  const auto difference = first_difference(one.file, other.file).value();
  BOOST_REQUIRE(difference.has_value());
  BOOST_TEST(difference->records_alike == 3u);
  BOOST_TEST((difference->time == Time{milliseconds(4)}));
  BOOST_TEST(difference->machine.value() == "n1");
  BOOST_TEST(difference->first_text.starts_with("0.004000000 s n1, 23 bytes sent"));
  BOOST_TEST(difference->hint.find("number 22") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_byte_beyond_those_kept_is_found_too) {
  const TemporaryFolder place = folder();
  Traced one(place, "one"), other(place, "other");
  some_boot(one, std::string(1400, 'x') + "a");
  some_boot(other, std::string(1400, 'x') + "b");
  one.finish();
  other.finish();
  const auto difference = first_difference(one.file, other.file).value();
  BOOST_REQUIRE(difference.has_value());
  BOOST_TEST(difference->hint.find("behind") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_run_that_ends_sooner_differs_where_it_ends) {
  const TemporaryFolder place = folder();
  Traced one(place, "one"), other(place, "other");
  some_boot(one, "payload");
  some_boot(other, "payload");
  other.at(9, [&other] { other.trace->note(RecordKind::machine, 1, "failed: no power"); });
  one.finish();
  other.finish();
  const auto difference = first_difference(one.file, other.file).value();
  BOOST_REQUIRE(difference.has_value());
  BOOST_TEST(difference->second_text.find("no power") != std::string::npos);
}

// A console is read when the host gets to it; where its lines stand among the frames of an instant is chance.
BOOST_AUTO_TEST_CASE(when_within_an_instant_a_console_was_read_does_not_matter) {
  const TemporaryFolder place = folder();
  Traced one(place, "one"), other(place, "other");
  one.at(1, [&] {
    one.trace->console(1, "first\nsec");
    one.frame(0, "x");
    one.trace->console(0, "server\n");
    one.trace->console(1, "ond\n");
  });
  other.at(1, [&] {
    other.trace->console(0, "server\n");
    other.trace->console(1, "first\nsecond\n");
    other.frame(0, "x");
  });
  BOOST_TEST(one.finish() == other.finish());
}

BOOST_AUTO_TEST_CASE(a_console_without_end_takes_bounded_memory_and_still_counts) {
  const TemporaryFolder place = folder();
  Traced one(place, "one"), other(place, "other");
  const std::string block(64u << 10, 'x');
  for (Traced* run : {&one, &other}) {
    run->at(1, [&block, run] {
      for (int i = 0; i < 64; ++i) run->trace->console(1, block);
    });
  }
  other.at(1, [&other] { other.trace->console(1, "y"); });
  one.at(1, [&one] { one.trace->console(1, "z"); });
  BOOST_TEST(one.finish() != other.finish());
  BOOST_TEST(std::filesystem::file_size(one.file) < (64u << 10));
}

BOOST_AUTO_TEST_CASE(a_damaged_trace_is_refused_by_name) {
  const TemporaryFolder place = folder();
  Traced run(place);
  some_boot(run, std::string(3000, 'q'));
  run.finish();
  const std::string whole = read_file(run.file).value();
  const auto read_all = [&](const std::string& content) {
    const auto path = place.path() / "damaged";
    BOOST_REQUIRE(write_file(path, content).has_value());
    const auto reader = TraceReader::open(path);
    if (!reader) return reader.error().message;
    for (;;) {
      const auto record = (*reader)->next();
      if (!record) return record.error().message;
      if (!*record) return std::string();
    }
  };
  BOOST_TEST(read_all(whole).empty());
  for (std::size_t cut = 0; cut < whole.size(); cut += 7) {
    BOOST_TEST(read_all(whole.substr(0, cut)).starts_with("the trace " + place.path().string()));
  }
  for (std::size_t at = 0; at < whole.size(); at += 3) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x41);
    (void)read_all(changed);  // it comes back, with whatever it makes of it
  }
}

BOOST_AUTO_TEST_CASE(a_full_file_ends_and_the_digest_goes_on) {
  const TemporaryFolder place = folder();
  EventLoop loop(std::make_unique<VirtualPacer>());
  const auto make = [&](Bytes limit) {
    return Trace::create(loop, Json::object(), {.file = place.path() / "small", .limit = limit}).value();
  };
  const auto fill = [&](Trace& trace) {
    for (int i = 0; i < 50'000; ++i) trace.note(RecordKind::step, std::nullopt, std::to_string(i));
    return trace.finish().value();
  };
  const TraceSummary full = fill(*make(Bytes{1000}));
  BOOST_TEST(!full.whole);
  BOOST_TEST(std::filesystem::file_size(place.path() / "small") < 200'000u);
  const TraceSummary all = fill(*make(mebibytes(64)));
  BOOST_TEST(all.whole);
  BOOST_TEST((full.digest == all.digest));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
