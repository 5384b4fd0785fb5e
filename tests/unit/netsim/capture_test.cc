#include "netsim/capture.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>

#include "base/command.h"
#include "base/file.h"
#include "packets.h"

namespace rookery::netsim {
namespace {

constexpr Duration kLimit = std::chrono::seconds(20);

struct Folder {
  Folder()
      : folder(TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-capture").value()) {}
  std::filesystem::path path() const { return folder.path() / "lab.pcapng"; }
  TemporaryFolder folder;
};

BOOST_AUTO_TEST_CASE(writes_section_interfaces_and_frames_as_the_draft_says) {
  Folder folder;
  {
    auto file = CaptureFile::create(folder.path(), {.application = "Rook"}).value();
    BOOST_TEST(file->add_interface("n1").value() == 0U);
    file->write(0, Direction::outbound, at_ns((std::int64_t{3} << 32) + 5),
                make_frame(machine(2), machine(1), 15));
    BOOST_TEST(file->frames() == 1U);
    file->close(kLimit);
    BOOST_TEST(file->told().frames == 1U);
    BOOST_TEST(file->told().why == "");
  }
  ByteWriter expected;
  expected.le32(0x0A0D0D0A).le32(40).le32(0x1A2B3C4D).le16(1).le16(0).le64(~std::uint64_t{0});
  expected.le16(4).le16(4).text("Rook").le16(0).le16(0).le32(40);
  expected.le32(1).le32(40).le16(1).le16(0).le32(kLargestFrame);
  expected.le16(2).le16(2).text("n1").zeros(2).le16(9).le16(1).u8(9).zeros(3).le16(0).le16(0).le32(40);
  expected.le32(6).le32(60).le32(0).le32(3).le32(5).le32(15).le32(15);
  expected.bytes(make_frame(machine(2), machine(1), 15).bytes()).zeros(1);
  expected.le16(2).le16(4).le32(2).le16(0).le16(0).le32(60);
  BOOST_TEST(read_file(folder.path()).value() == as_text(expected.buffer()));
}

BOOST_AUTO_TEST_CASE(ends_at_its_limit_and_counts_what_it_left_out) {
  Folder folder;
  auto file = CaptureFile::create(folder.path(), {.limit = Bytes{1000}}).value();
  const std::uint32_t n1 = file->add_interface("n1").value();
  for (int i = 0; i < 20; ++i)
    file->write(n1, Direction::inbound, at_ns(i), make_frame(machine(2), machine(1)));
  BOOST_TEST(file->is_full());
  BOOST_TEST(file->frames() > 0U);
  BOOST_TEST(file->frames() + file->frames_left_out() == 20U);
  BOOST_TEST(file->size().count <= 1000U);
  BOOST_TEST(!file->add_interface("n2").has_value());
  file->close(kLimit);
  BOOST_TEST(file->status().has_value());
  BOOST_TEST(file->told().left_out == file->frames_left_out());
  BOOST_TEST(file->told().why == "its limit is 1000 bytes");
  BOOST_TEST(std::filesystem::file_size(folder.path()) == file->size().count);
}

BOOST_AUTO_TEST_CASE(does_not_write_to_an_interface_that_was_not_declared) {
  Folder folder;
  auto file = CaptureFile::create(folder.path(), {}).value();
  file->write(0, Direction::inbound, at_ns(0), make_frame(machine(2), machine(1)));
  BOOST_TEST(file->frames() == 0U);
  BOOST_TEST(file->frames_left_out() == 1U);
}

BOOST_AUTO_TEST_CASE(says_which_file_it_cannot_write) {
  const auto file = CaptureFile::create("/nonexistent/lab.pcapng", {});
  BOOST_REQUIRE(!file.has_value());
  BOOST_TEST(file.error().message.find("/nonexistent/lab.pcapng") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(says_when_the_disk_is_full_and_counts_what_is_not_in_the_file) {
  const auto file = CaptureFile::create("/dev/full", {}).value();
  const std::uint32_t n1 = file->add_interface("n1").value();
  for (int i = 0; i < 3; ++i)
    file->write(n1, Direction::inbound, at_ns(i), make_frame(machine(2), machine(1)));
  file->close(kLimit);
  BOOST_TEST(file->status().error().message == "cannot write the capture /dev/full: No space left on device");
  BOOST_TEST(file->told().frames == 0U);
  BOOST_TEST(file->told().left_out == 3U);
}

BOOST_AUTO_TEST_CASE(what_was_captured_is_in_the_file_while_it_goes_on) {
  Folder folder;
  const auto file = CaptureFile::create(folder.path(), {}).value();
  const std::uint32_t n1 = file->add_interface("n1").value();
  file->write(n1, Direction::inbound, at_ns(0), make_frame(machine(2), machine(1)));
  BOOST_TEST(file->flush(kLimit).has_value());
  BOOST_TEST(std::filesystem::file_size(folder.path()) == file->size().count);
  file->write(n1, Direction::inbound, at_ns(1), make_frame(machine(2), machine(1)));
  BOOST_TEST(file->flush(kLimit).has_value());
  BOOST_TEST(std::filesystem::file_size(folder.path()) == file->size().count);
}

BOOST_AUTO_TEST_CASE(a_reader_that_leaves_or_does_not_read_loses_frames_and_holds_nobody_up) {
  for (const bool leaves : {true, false}) {
    int ends[2];
    BOOST_REQUIRE_EQUAL(::pipe2(ends, O_CLOEXEC), 0);
    UniqueFd reader(ends[0]);
    const auto file = CaptureFile::create(UniqueFd(ends[1]), "standard output", false, {}).value();
    const std::uint32_t n1 = file->add_interface("n1").value();
    if (leaves) reader.reset();
    constexpr int kFrames = 100'000;  // more than pipe and queue hold
    for (int i = 0; i < kFrames; ++i)
      file->write(n1, Direction::inbound, at_ns(i), make_frame(machine(2), machine(1), 1500));
    file->close(std::chrono::milliseconds(20));
    const CaptureTold told = file->told();
    BOOST_TEST(told.frames + told.left_out == 100'000U);
    BOOST_TEST(told.left_out > 0U);
    BOOST_TEST(told.why ==
               (leaves ? "its reader has left" : "the capture standard output was not read to its end"));
    BOOST_TEST(file->status().has_value() == leaves);
  }
}

BOOST_AUTO_TEST_CASE(two_captures_into_one_file_are_refused_and_the_first_goes_on) {
  Folder folder;
  const auto first = CaptureFile::create(folder.path(), {}).value();
  BOOST_TEST(first->flush(kLimit).has_value());
  const auto second = CaptureFile::create(folder.path(), {});
  BOOST_REQUIRE(!second.has_value());
  BOOST_TEST(second.error().message.ends_with("lab.pcapng is being written already, by another command"));
  BOOST_TEST(std::filesystem::file_size(folder.path()) == first->size().count);
}

BOOST_AUTO_TEST_CASE(a_super_frame_is_captured_as_the_frames_on_the_wire_and_passed_on_whole) {
  Folder folder;
  EventLoop loop(std::make_unique<VirtualPacer>());
  Recorder next;
  CaptureTap tap(loop, Direction::inbound, next);
  auto file = CaptureFile::create(folder.path(), {}).value();
  tap.start(file, file->add_interface("n7").value());
  const ByteBuffer bytes = tcp_frame(kServer, 80, kClient, 40'000, kAck, std::string(2500, 'x'));
  FrameBuilder builder(bytes.size());
  std::copy(bytes.begin(), bytes.end(), builder.bytes().begin());
  builder.offload() = {Offload::kNeedsChecksum, Offload::kSegmentsTcp4, 54, 1000, 34, 16};
  tap.send(std::move(builder).freeze());
  BOOST_TEST(file->frames() == 3U);
  BOOST_REQUIRE(next.frames.size() == 1U);
  BOOST_TEST(next.frames[0].is_super_frame());
}

BOOST_AUTO_TEST_CASE(a_tap_captures_from_start_to_stop_and_always_passes_on) {
  Folder folder;
  EventLoop loop(std::make_unique<VirtualPacer>());
  Recorder next;
  CaptureTap tap(loop, Direction::inbound, next);
  auto file = CaptureFile::create(folder.path(), {}).value();
  const std::uint32_t n1 = file->add_interface("n1").value();
  tap.send(make_frame(machine(2), machine(1)));
  tap.start(file, n1);
  tap.send(make_frame(machine(2), machine(1)));
  tap.stop();
  tap.send(make_frame(machine(2), machine(1)));
  BOOST_TEST(next.frames.size() == 3U);
  BOOST_TEST(file->frames() == 1U);
}

BOOST_AUTO_TEST_CASE(is_read_by_tshark) {
  const auto tshark = find_program("tshark", "tshark");
  if (!tshark) {
    std::cerr << "skipped: " << tshark.error().message << '\n';
    return;
  }
  Folder folder;
  {
    EventLoop loop(std::make_unique<VirtualPacer>());
    auto file = CaptureFile::create(folder.path(),
                                    {.snap = Bytes{200}, .started_at = std::chrono::seconds(1'700'000'000)})
                    .value();
    NullPort end;
    CaptureTap in(loop, Direction::inbound, end);
    CaptureTap out(loop, Direction::outbound, end);
    in.start(file, file->add_interface("server").value());
    out.start(file, file->add_interface("n7").value());
    loop.at(at_ns(1'000'000'007), [&] { in.send(make_frame(machine(7), machine(1), 60)); });
    loop.at(at_ns(2'500'000'000), [&] { out.send(make_frame(machine(1), machine(7), 1514)); });
    loop.run();
    file->close(kLimit);
  }
  const auto output = run_checked({.argv = {"tshark",
                                            "-r",
                                            folder.path().string(),
                                            "-T",
                                            "fields",
                                            "-E",
                                            "separator=,",
                                            "-e",
                                            "frame.number",
                                            "-e",
                                            "frame.interface_name",
                                            "-e",
                                            "frame.time_epoch",
                                            "-e",
                                            "frame.len",
                                            "-e",
                                            "frame.cap_len",
                                            "-e",
                                            "frame.packet_flags_direction",
                                            "-e",
                                            "eth.src"},
                                   .folder = {}});
  BOOST_REQUIRE_MESSAGE(output.has_value(), (output ? "" : output.error().message));
  BOOST_TEST(output->output ==
             "1,server,1700000001.000000007,60,60,0x00000001,52:54:00:00:00:01\n"
             "2,n7,1700000002.500000000,1514,200,0x00000002,52:54:00:00:00:07\n");
}

}  // namespace
}  // namespace rookery::netsim
