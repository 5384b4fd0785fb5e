#include "vboot/control/stream_frames.h"

#include <boost/test/unit_test.hpp>

using namespace rookery;
using namespace rookery::vboot;
using Kind = StreamFrame::Kind;

namespace {
std::string problem_of(const ByteBuffer& bytes) {
  StreamFrameReader reader;
  reader.feed(bytes);
  const auto frame = reader.next();
  BOOST_REQUIRE(frame.has_value());
  BOOST_CHECK(!reader.next());  // and nothing more
  return *frame ? "" : frame->error().message;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(stream_frames)

BOOST_AUTO_TEST_CASE(frames_come_back_however_they_are_cut) {
  const std::vector<StreamFrame> frames{{Kind::out, ByteBuffer(70000, 'a')},
                                        {Kind::err, {'e'}},
                                        {Kind::out_ends, {}},
                                        {Kind::lost, {'w', 'h', 'y'}},
                                        {Kind::exited, {7}}};
  ByteBuffer wire;
  for (const StreamFrame& frame : frames) append_frame(wire, frame.kind, frame.bytes);
  for (const std::size_t step : {std::size_t{1}, std::size_t{4096}, wire.size()}) {
    StreamFrameReader reader;
    std::vector<StreamFrame> got;
    for (std::size_t at = 0; at < wire.size(); at += step) {
      reader.feed(ByteView(wire).subspan(at, std::min(step, wire.size() - at)));
      while (auto frame = reader.next()) got.push_back(frame->value());
    }
    BOOST_CHECK(got == frames);
  }
}

BOOST_AUTO_TEST_CASE(keeps_the_bytes_of_a_frame_as_they_are_on_the_wire) {
  ByteBuffer wire;
  append_frame(wire, Kind::err, as_bytes("ab"));
  BOOST_CHECK(wire == (ByteBuffer{2, 0, 0, 0, 2, 'a', 'b'}));
}

BOOST_AUTO_TEST_CASE(what_is_no_frame_ends_the_stream) {
  const std::string no_frame = "the supervisor sent what is no frame of a stream";
  BOOST_CHECK_EQUAL(problem_of({0, 0, 0, 0, 0}), no_frame);
  BOOST_CHECK_EQUAL(problem_of({6, 0, 0, 0, 0}), no_frame);
  BOOST_CHECK_EQUAL(problem_of({1, 0, 16, 0, 1}), no_frame);       // longer than the limit
  BOOST_CHECK_EQUAL(problem_of({4, 0, 0, 0, 2, 1, 1}), no_frame);  // two exit codes
}

BOOST_AUTO_TEST_SUITE_END()
