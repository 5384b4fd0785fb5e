#include "netsim/segment.h"

#include <cstring>

#include "netsim/link.h"
#include "packets.h"

namespace rookery::netsim {
namespace {

constexpr std::uint16_t kTcp4 = 34;  // where TCP begins in an untagged frame
constexpr std::uint16_t kTcp6 = 54;

std::uint32_t big(ByteView bytes, std::size_t at, unsigned size) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < size; ++i) value = value << 8 | bytes[at + i];
  return value;
}
// RFC 1071 §1, plainly: over what carries its checksum, the sum is all ones.
std::uint32_t sum(ByteView bytes, std::uint32_t start = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) start += i % 2 == 0 ? bytes[i] * 256U : bytes[i];
  while (start >> 16 != 0) start = (start & 0xffff) + (start >> 16);
  return start;
}
bool ip_sum_is_right(const Frame& frame) {
  return sum(frame.bytes().subspan(14, 20)) == 0xffff;
}
bool tcp_sum_is_right(const Frame& frame, std::size_t tcp) {
  const ByteView addresses = tcp == kTcp4 ? frame.bytes().subspan(26, 8) : frame.bytes().subspan(22, 32);
  const ByteView segment = frame.bytes().subspan(tcp);
  return sum(segment, sum(addresses) + 6 + static_cast<std::uint32_t>(segment.size())) == 0xffff;
}

std::string text_of(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}
Offload tcp_offload(std::uint16_t tcp, std::uint16_t size) {
  Offload offload;
  offload.flags = Offload::kNeedsChecksum;
  offload.segments = tcp == kTcp4 ? Offload::kSegmentsTcp4 : Offload::kSegmentsTcp6;
  offload.segment_size = size;
  offload.checksum_start = tcp;
  offload.checksum_offset = 16;
  return offload;
}
Frame with(const ByteBuffer& bytes, Offload offload) {
  BOOST_REQUIRE(check_offload(bytes, offload));
  FrameBuilder builder(bytes.size());
  std::memcpy(builder.bytes().data(), bytes.data(), bytes.size());
  builder.offload() = offload;
  return std::move(builder).freeze();
}
ByteBuffer tcp4(std::size_t payload, std::uint8_t flags = kAck) {
  return tcp_frame(kClient, 40'000, kServer, 80, flags, text_of(payload));
}
ByteBuffer tcp6(std::size_t payload) {
  return ip6_frame(6, ByteWriter()
                          .be16(1)
                          .be16(80)
                          .be32(0xfffffff0)
                          .be32(1)
                          .u8(0x50)
                          .u8(kAck)
                          .be16(1000)
                          .be32(0)
                          .text(text_of(payload))
                          .buffer());
}

BOOST_AUTO_TEST_CASE(cuts_a_super_frame_of_ipv4_into_whole_frames) {
  const ByteBuffer bytes = tcp4(3000, 0x80 | kAck | 0x08 | 0x01);  // CWR, ACK, PSH, FIN
  const Frame frame = with(bytes, tcp_offload(kTcp4, 1400));
  Recorder wire;
  BOOST_TEST(send_finished(frame, wire) == 3U);
  BOOST_REQUIRE(wire.frames.size() == 3U);
  std::size_t offset = 0;
  std::uint64_t octets = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const Frame& cut = wire.frames[i];
    const std::size_t size = i < 2 ? 1400 : 200;
    BOOST_TEST(is_finished(cut));
    BOOST_TEST(cut.size() == 54 + size);
    BOOST_TEST(big(cut.bytes(), 16, 2) == 40 + size);
    BOOST_TEST(big(cut.bytes(), 18, 2) == i);  // identification
    BOOST_TEST(big(cut.bytes(), 38, 4) == 1 + offset);
    BOOST_TEST(cut.bytes()[47] == (i == 0 ? 0x80 | kAck : i == 1 ? kAck : kAck | 0x08 | 0x01));
    BOOST_TEST(ip_sum_is_right(cut));
    BOOST_TEST(tcp_sum_is_right(cut, kTcp4));
    BOOST_TEST(std::memcmp(cut.bytes().data() + 54, bytes.data() + 54 + offset, size) == 0);
    offset += size;
    octets += wire_octets(cut);
  }
  BOOST_TEST(wire_octets(frame) == octets);  // a link gives it the time of its segments
}

BOOST_AUTO_TEST_CASE(cuts_a_super_frame_of_ipv6_and_lets_the_sequence_wrap) {
  const Frame frame = with(tcp6(2001), tcp_offload(kTcp6, 1000));
  Recorder wire;
  BOOST_TEST(send_finished(frame, wire) == 3U);
  for (const Frame& cut : wire.frames) {
    BOOST_TEST(tcp_sum_is_right(cut, kTcp6));
    BOOST_TEST(big(cut.bytes(), 18, 2) == cut.size() - 54);  // the payload's length
  }
  BOOST_TEST(big(wire.frames.at(1).bytes(), kTcp6 + 4, 4) == 0xfffffff0U + 1000);
  BOOST_TEST(wire.frames.at(2).size() == kTcp6 + 20 + 1U);
}

BOOST_AUTO_TEST_CASE(cuts_a_tagged_super_frame) {
  const Frame frame = with(tcp4(3000), tcp_offload(kTcp4, 1400)).tagged(VlanTag{5});
  Recorder wire;
  BOOST_TEST(send_finished(frame, wire) == 3U);
  BOOST_TEST(wire.frames.at(2).vlan_tag()->vlan() == 5);
  BOOST_TEST(tcp_sum_is_right(std::move(wire.frames[2]).untagged(), kTcp4));
}

BOOST_AUTO_TEST_CASE(fills_a_checksum_in) {
  ByteBuffer bytes = tcp4(101);
  const std::uint32_t pseudo = sum(ByteView(bytes).subspan(26, 8), 6 + 20 + 101);
  bytes[kTcp4 + 16] = static_cast<std::uint8_t>(pseudo >> 8);
  bytes[kTcp4 + 17] = static_cast<std::uint8_t>(pseudo);
  Offload offload = tcp_offload(kTcp4, 0);
  offload.segments = Offload::kSegmentsNone;
  Recorder wire;
  BOOST_TEST(send_finished(with(bytes, offload), wire) == 1U);
  BOOST_TEST(is_finished(wire.frames.at(0)));
  BOOST_TEST(tcp_sum_is_right(wire.frames.at(0), kTcp4));
}

BOOST_AUTO_TEST_CASE(passes_a_finished_frame_on_as_it_is) {
  Recorder wire;
  BOOST_TEST(send_finished(Frame::copy(tcp4(10)), wire) == 1U);
  BOOST_TEST(copy_of(wire.frames.at(0)) == tcp4(10));
}

BOOST_AUTO_TEST_CASE(a_super_frame_of_one_segment_is_a_plain_frame) {
  const Frame frame = with(tcp4(1400), tcp_offload(kTcp4, 1400));
  BOOST_TEST(!frame.is_super_frame());
  BOOST_TEST(!is_finished(frame));
}

BOOST_AUTO_TEST_CASE(refuses_what_cannot_be) {
  const ByteBuffer bytes = tcp4(3000);
  const auto refused = [&](auto change, const ByteBuffer& of) {
    Offload offload = tcp_offload(kTcp4, 1400);
    change(offload);
    return !check_offload(of, offload);
  };
  BOOST_TEST(refused([](Offload& o) { o.segment_size = kSmallestSegment - 1; }, bytes));
  BOOST_TEST(refused([](Offload& o) { o.flags = 0; }, bytes));
  BOOST_TEST(refused([](Offload& o) { o.checksum_start = 35; }, bytes));
  BOOST_TEST(refused([](Offload& o) { o.checksum_offset = 6; }, bytes));
  BOOST_TEST(refused([](Offload& o) { o.segments = Offload::kSegmentsTcp6; }, bytes));
  BOOST_TEST(refused([](Offload& o) { o.segments = Offload::kSegmentsUdp; }, bytes));
  BOOST_TEST(refused([](Offload& o) { o.segments = Offload::kSegmentsUdpL4; }, bytes));
  BOOST_TEST(refused([](Offload& o) { o.checksum_start = 65'535, o.checksum_offset = 65'535; }, bytes));
  const auto no_segments = [](Offload& o) { o.segments = Offload::kSegmentsNone; };
  BOOST_TEST(!refused(no_segments, bytes));
  BOOST_TEST(refused([](Offload& o) { o.segments = 0, o.checksum_start = 13; }, bytes));
  BOOST_TEST(
      refused([&](Offload& o) { no_segments(o), o.checksum_start = 3040, o.checksum_offset = 13; }, bytes));
  for (std::size_t size = kSmallestFrame; size < 54; ++size) {
    BOOST_TEST(refused([](Offload&) {},
                       ByteBuffer(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size))));
  }
  for (const auto& [at, value] :
       {std::pair<std::size_t, std::uint8_t>{14, 0x44}, {14, 0x65}, {23, 17}, {46, 0x40}}) {
    ByteBuffer damaged = bytes;
    damaged[at] = value;
    BOOST_TEST(refused([](Offload&) {}, damaged));
  }
}

BOOST_AUTO_TEST_CASE(does_not_believe_a_guest_that_a_checksum_was_verified_nor_its_headers_length) {
  Offload offload = tcp_offload(kTcp4, 1400);
  offload.flags |= Offload::kChecksumValid;
  offload.header_length = 60'000;
  BOOST_TEST(check_offload(tcp4(3000), offload));
  BOOST_TEST(offload.flags == Offload::kNeedsChecksum);
  BOOST_TEST(offload.header_length == 54);
}

BOOST_AUTO_TEST_CASE(sends_what_it_can_when_there_are_no_buffers) {
  const Frame frame = with(tcp4(3000), tcp_offload(kTcp4, 1400));
  const Bytes before = frame_pool_state().limit;
  set_frame_pool_limit(Bytes{frame_pool_state().in_use.count + 2048});
  Recorder wire;
  BOOST_TEST(send_finished(frame, wire) == 1U);
  set_frame_pool_limit(before);
}

}  // namespace
}  // namespace rookery::netsim
