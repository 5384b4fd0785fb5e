#include "netsim/frame.h"

#include "netsim_test.h"

namespace rookery::netsim {
namespace {

BOOST_AUTO_TEST_SUITE(mac_address)

BOOST_AUTO_TEST_CASE(is_read_and_printed_the_same) {
  BOOST_TEST(MacAddress::parse("52:54:00:00:00:07")->text() == "52:54:00:00:00:07");
  BOOST_TEST(MacAddress::parse("FF-ff-0A-0b-0C-0d")->text() == "ff:ff:0a:0b:0c:0d");
  BOOST_TEST(MacAddress::parse("5254.0000.0007")->text() == "52:54:00:00:00:07");
  BOOST_TEST(MacAddress::parse("52:54:0:0:0:7")->text() == "52:54:00:00:00:07");
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_address) {
  for (const char* text : {"", "52:54:00:00:00", "52:54:00:00:00:07:", "52:54:00:00:00:0g", "5254.0000:0007",
                           "52:54:00:00:00:+7", "52:54:00:00:00: 7", "52_54_00_00_00_07"}) {
    BOOST_TEST(!MacAddress::parse(text).has_value(), text);
  }
}

BOOST_AUTO_TEST_CASE(is_ordered_as_its_bytes) {
  BOOST_TEST(*MacAddress::parse("00:ff:00:00:00:00") < *MacAddress::parse("01:00:00:00:00:00"));
  BOOST_TEST(machine(1) < machine(2));
}

BOOST_AUTO_TEST_CASE(knows_groups_and_reserved_groups) {
  BOOST_TEST(MacAddress::broadcast().is_group());
  BOOST_TEST(MacAddress::parse("01:00:5e:00:00:01")->is_group());
  BOOST_TEST(!machine(1).is_group());
  BOOST_TEST(MacAddress::parse("01:80:c2:00:00:00")->is_reserved_group());
  BOOST_TEST(MacAddress::parse("01:80:c2:00:00:0f")->is_reserved_group());
  BOOST_TEST(!MacAddress::parse("01:80:c2:00:00:10")->is_reserved_group());
  BOOST_TEST(!MacAddress::parse("01:80:c2:00:01:00")->is_reserved_group());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(frame)

BOOST_AUTO_TEST_CASE(gives_its_fields) {
  const Frame frame = make_frame(machine(2), machine(1), 60, 0x0806);
  BOOST_TEST(frame.destination() == machine(2));
  BOOST_TEST(frame.source() == machine(1));
  BOOST_TEST(frame.ethertype() == 0x0806);
  BOOST_TEST(frame.size() == 60U);
  BOOST_TEST(!frame.vlan_tag().has_value());
}

BOOST_AUTO_TEST_CASE(has_a_smallest_and_a_largest_size) {
  const ByteBuffer bytes(kLargestFrame + 1, 1);
  BOOST_TEST(!Frame::copy(ByteView(bytes).first(13)));
  BOOST_TEST(!Frame::copy({}));
  BOOST_TEST(Frame::copy(ByteView(bytes).first(14)).size() == 14U);
  BOOST_TEST(Frame::copy(ByteView(bytes).first(65'550)).size() == 65'550U);
  BOOST_TEST(Frame::copy(ByteView(bytes).first(kLargestFrame)).size() == kLargestFrame);
  BOOST_TEST(!Frame::copy(bytes));
}

BOOST_AUTO_TEST_CASE(keeps_its_bytes_at_every_size_of_buffer) {
  for (std::size_t size : {14U, 60U, 192U, 193U, 216U, 217U, 1514U, 1990U, 2040U, 9014U, 16'384U, 65'550U}) {
    ByteBuffer bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7);
    const Frame one = Frame::copy(bytes);
    const Frame two = Frame::copy(bytes);
    BOOST_TEST(copy_of(one) == bytes);
    BOOST_TEST(copy_of(two) == bytes);
  }
}

BOOST_AUTO_TEST_CASE(shares_its_bytes_with_its_copies) {
  const Frame frame = make_frame(machine(2), machine(1));
  const Frame copy = frame;
  BOOST_TEST(frame.bytes().data() == copy.bytes().data());
}

BOOST_AUTO_TEST_CASE(is_filled_in_place_and_may_be_shorter_in_the_end) {
  FrameBuilder builder(1514);
  BOOST_REQUIRE(builder);
  std::fill(builder.bytes().begin(), builder.bytes().end(), std::uint8_t{3});
  builder.shrink(2000);
  BOOST_TEST(builder.bytes().size() == 1514U);
  builder.shrink(100);
  builder.offload().segment_size = 1448;
  const std::uint8_t* where = builder.bytes().data();
  const Frame frame = std::move(builder).freeze();
  BOOST_TEST(frame.size() == 100U);
  BOOST_TEST(frame.bytes().data() == where);
  BOOST_TEST(frame.offload().segment_size == 1448);
}

BOOST_AUTO_TEST_CASE(is_none_if_shrunk_too_far) {
  FrameBuilder builder(100);
  builder.shrink(13);
  BOOST_TEST(!std::move(builder).freeze());
}

BOOST_AUTO_TEST_CASE(starts_with_no_offload_in_a_used_buffer) {
  {
    FrameBuilder builder(100);
    builder.offload().segments = Offload::kSegmentsTcp4;
  }
  FrameBuilder builder(100);
  BOOST_TEST((builder.offload() == Offload{}));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(tag)

BOOST_AUTO_TEST_CASE(is_put_on_and_taken_off_in_place) {
  Frame frame = make_frame(machine(2), machine(1), 60, 0x0800);
  const ByteBuffer before = copy_of(frame);
  Frame tagged = std::move(frame).tagged(VlanTag{0xa00a});
  BOOST_TEST(tagged.size() == 64U);
  BOOST_TEST(tagged.outer_ethertype() == kEthertypeVlan);
  BOOST_TEST(tagged.ethertype() == 0x0800);
  BOOST_TEST(tagged.vlan_tag()->vlan() == 10);
  BOOST_TEST(tagged.vlan_tag()->priority() == 5);
  BOOST_TEST(tagged.destination() == machine(2));
  BOOST_TEST(tagged.source() == machine(1));
  const Frame bare = std::move(tagged).untagged();
  BOOST_TEST(copy_of(bare) == before);
}

BOOST_AUTO_TEST_CASE(does_not_show_in_another_handle_of_the_same_frame) {
  const Frame original = make_frame(machine(2), machine(1));
  const ByteBuffer before = copy_of(original);
  const Frame tagged = Frame(original).tagged(VlanTag{10});
  BOOST_TEST(copy_of(original) == before);
  const ByteBuffer with_tag = copy_of(tagged);
  const Frame bare = Frame(tagged).untagged();
  BOOST_TEST(copy_of(tagged) == with_tag);
  BOOST_TEST(copy_of(bare) == before);
}

BOOST_AUTO_TEST_CASE(fits_again_and_again) {
  Frame frame = make_frame(machine(2), machine(1));
  for (std::uint16_t vlan = 1; vlan < 20; ++vlan) frame = std::move(frame).tagged(VlanTag{vlan});
  BOOST_TEST(frame.size() == 60U + 19 * 4);
  for (std::uint16_t vlan = 19; vlan > 0; --vlan) {
    BOOST_TEST(frame.vlan_tag()->vlan() == vlan);
    frame = std::move(frame).untagged();
  }
  BOOST_TEST(copy_of(frame) == copy_of(make_frame(machine(2), machine(1))));
}

BOOST_AUTO_TEST_CASE(does_not_fit_on_the_largest_frame) {
  BOOST_TEST(make_frame(machine(2), machine(1), kLargestUntaggedFrame).tagged(VlanTag{10}).size() ==
             kLargestFrame);
  BOOST_TEST(!make_frame(machine(2), machine(1), kLargestFrame - 3).tagged(VlanTag{10}));
}

BOOST_AUTO_TEST_CASE(is_not_read_beyond_the_end) {
  const Frame frame = make_frame(machine(2), machine(1), 16, kEthertypeVlan);
  BOOST_TEST(frame.is_tagged());
  BOOST_TEST(!frame.vlan_tag().has_value());
  BOOST_TEST(frame.ethertype() == 0);
  BOOST_TEST(!Frame(frame).untagged());
}

BOOST_AUTO_TEST_CASE(moves_where_the_checksum_starts) {
  FrameBuilder builder(100);
  std::fill(builder.bytes().begin(), builder.bytes().end(), std::uint8_t{0});
  builder.offload() = Offload{Offload::kNeedsChecksum, Offload::kSegmentsTcp4, 54, 1448, 34, 16};
  const Frame tagged = std::move(builder).freeze().tagged(VlanTag{10});
  BOOST_TEST(tagged.offload().checksum_start == 38);
  BOOST_TEST(tagged.offload().header_length == 58);
  BOOST_TEST(tagged.offload().checksum_offset == 16);
  const Frame bare = Frame(tagged).untagged();
  BOOST_TEST(bare.offload().checksum_start == 34);
  BOOST_TEST(bare.offload().header_length == 54);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(pool)

BOOST_AUTO_TEST_CASE(gets_every_buffer_back) {
  const Bytes before = frame_pool_state().in_use;
  {
    const Frame frame = make_frame(machine(2), machine(1));
    const Frame copy = frame;
    FrameBuilder unfinished(3000);
    BOOST_TEST(frame_pool_state().in_use.count > before.count);
  }
  BOOST_TEST(frame_pool_state().in_use.count == before.count);
}

BOOST_AUTO_TEST_CASE(uses_a_free_buffer_again) {
  const std::uint8_t* where = make_frame(machine(2), machine(1)).bytes().data();
  BOOST_TEST(make_frame(machine(2), machine(1)).bytes().data() == where);
}

BOOST_AUTO_TEST_CASE(refuses_beyond_its_limit_and_counts) {
  const FramePoolState before = frame_pool_state();
  set_frame_pool_limit(Bytes{before.in_use.count + 4096});
  const Frame one = make_frame(machine(2), machine(1), 1514);
  const Frame two = make_frame(machine(2), machine(1), 1514);
  const Frame three = Frame::copy(two.bytes());
  set_frame_pool_limit(before.limit);
  BOOST_TEST(!three);
  BOOST_TEST(frame_pool_state().refused == before.refused + 1);
  BOOST_TEST(Frame::copy(two.bytes()).size() == 1514U);
}

BOOST_AUTO_TEST_CASE(one_that_takes_all_that_it_can_leaves_as_much_to_the_others) {
  const FramePoolState before = frame_pool_state();
  constexpr std::uint64_t kLimit = 64 * 2048;
  set_frame_pool_limit(Bytes{before.in_use.count + kLimit});
  std::vector<Frame> kept;
  const ByteBuffer bytes(1514);
  const auto take_all = [&](const FrameShare& share) {
    std::size_t taken = 0;
    while (const Frame frame = Frame::copy(bytes, share)) {
      kept.push_back(frame);
      ++taken;
    }
    return taken;
  };
  {
    const FrameShare greedy, other;
    BOOST_TEST(take_all(greedy) == 32u);
    BOOST_TEST(take_all(other) == 16u);
    BOOST_TEST(take_all(greedy) == 0u);
    BOOST_TEST((Frame::copy(bytes) ? true : false));  // our own
    // What becomes of its frames counts for it as well, and what it gives back it may take again.
    BOOST_TEST(!Frame(kept[0]).tagged(VlanTag{1}));
    kept.erase(kept.begin(), kept.begin() + 16);
    BOOST_TEST(take_all(greedy) > 0u);
  }
  // Its frames outlive it, and count for nobody who comes later.
  const FrameShare third;
  BOOST_TEST(take_all(third) > 0u);
  kept.clear();
  set_frame_pool_limit(before.limit);
  BOOST_TEST(frame_pool_state().in_use.count == before.in_use.count);
}

BOOST_AUTO_TEST_CASE(keeps_only_so_much_when_frames_go) {
  std::vector<Frame> many;
  for (int i = 0; i < 1500; ++i) many.push_back(make_frame(machine(2), machine(1), 60'000));
  BOOST_TEST(frame_pool_state().in_use > mebibytes(64));
  many.clear();
  BOOST_TEST(frame_pool_state().kept <= mebibytes(64));
}

BOOST_AUTO_TEST_CASE(remembers_where_it_came_from_in_all_its_forms) {
  for (const bool shared : {false, true}) {
    Frame frame = make_frame(machine(1), machine(2));
    BOOST_TEST(frame.origin() == 0U);
    frame.set_origin(7);
    const Frame other = shared ? frame : Frame();
    Frame tagged = std::move(frame).tagged({10});
    BOOST_TEST(tagged.origin() == 7U);
    const Frame second = shared ? tagged : Frame();
    BOOST_TEST(std::move(tagged).untagged().origin() == 7U);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace rookery::netsim
