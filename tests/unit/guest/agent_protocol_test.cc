#include "guest/protocol/agent_protocol.h"

#include <boost/test/unit_test.hpp>

using namespace rookery;
using namespace rookery::agent;

namespace {

std::vector<Message> one_of_each() {
  return {Hello{7, Program::stage2, Source::medium, 1},
          Stage{BootStage::script, "http://10.0.0.1/boot.ipxe"},
          Guessed{"line 3: 'x' is not understood"},
          Restarting{"line 12: reboot"},
          Failed{BootStage::root, "connection refused"},
          Ready{},
          Output{3, Stream::err, {1, 0, 255}},
          Exited{3, true, 9},
          Role{"boot-server",
               "server",
               {{"role-a.squashfs", "nbd://10.77.0.1/a", std::string(64, 'a')}},
               {{"etc/dnsmasq.conf", 0640, {'a', 0, 'b'}}, {"etc/empty", 0755, {}}}},
          Exec{4, {"uname", "-a", ""}},
          Kill{4},
          StepClock{5, std::chrono::nanoseconds(-1'500'000'000)},
          PowerOff{},
          OpenConsole{},
          Open{6, 80, {}},
          Open{7, 0, {"cat", "-"}},
          Input{6, {0, 255}},
          Input{6, {}},
          Taken{6, 65536},
          Unknown{200}};
}

std::string problem_of(const ByteBuffer& bytes) {
  const Result<Message> result = decode(bytes);
  return result ? "" : result.error().message;
}

}  // namespace

BOOST_AUTO_TEST_CASE(brings_every_message_back_as_it_was) {
  for (const Message& message : one_of_each()) {
    const Result<Message> back = decode(encode(message));
    BOOST_REQUIRE_MESSAGE(back, (back ? "" : back.error().message));
    BOOST_CHECK(*back == message);
  }
}

BOOST_AUTO_TEST_CASE(keeps_the_bytes_of_a_message_as_they_are_on_the_wire) {
  BOOST_CHECK(encode(Stage{BootStage::kernel, "ab"}) == (ByteBuffer{2, 3, 0, 0, 0, 2, 'a', 'b'}));
  BOOST_CHECK(encode(Exited{1, false, 5}) == (ByteBuffer{6, 0, 0, 0, 1, 0, 5}));
}

BOOST_AUTO_TEST_CASE(a_clock_step_goes_both_ways) {
  BOOST_CHECK(encode(StepClock{1, std::chrono::nanoseconds(-2)}) ==
              (ByteBuffer{69, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 254}));
  BOOST_CHECK(encode(StepClock{1, std::chrono::seconds(1)}) ==
              (ByteBuffer{69, 0, 0, 0, 1, 0, 0, 0, 0, 0x3b, 0x9a, 0xca, 0}));
}

BOOST_AUTO_TEST_CASE(refuses_every_shortened_message) {
  for (const Message& message : one_of_each()) {
    const ByteBuffer whole = encode(message);
    for (std::size_t size = 1; size < whole.size(); ++size) {
      BOOST_CHECK(!decode(ByteView(whole).first(size)));
    }
  }
  BOOST_CHECK(!decode({}));
}

BOOST_AUTO_TEST_CASE(refuses_a_message_with_bytes_left_over) {
  ByteBuffer bytes = encode(Kill{1});
  bytes.push_back(0);
  BOOST_CHECK_EQUAL(problem_of(bytes), "an agent message of type 66 has bytes left over");
}

BOOST_AUTO_TEST_CASE(knows_an_unknown_type_for_what_it_is) {
  const Result<Message> message = decode(ByteBuffer{200, 1, 2, 3});
  BOOST_REQUIRE(message);
  BOOST_CHECK(*message == Message(Unknown{200}));
}

BOOST_AUTO_TEST_CASE(refuses_values_outside_their_range) {
  BOOST_CHECK_EQUAL(problem_of({2, 9, 0, 0, 0, 0}), "an agent message of type 2 has an unknown stage");
  BOOST_CHECK_EQUAL(problem_of({6, 0, 0, 0, 1, 2, 5}),
                    "an agent message of type 6 has an unknown way of exiting");
  BOOST_CHECK_EQUAL(problem_of({65, 0, 0, 0, 1, 0, 0, 0, 0}),
                    "an agent message of type 65 has no program to run");
  BOOST_CHECK_EQUAL(problem_of(encode(Exec{1, {std::string("a\0b", 3)}})),
                    "an agent message of type 65 has a NUL in an argument");
  BOOST_CHECK_EQUAL(problem_of(encode(Open{1, 0, {}})),
                    "an agent message of type 80 has to have either a port or a program");
  BOOST_CHECK_EQUAL(problem_of(encode(Open{1, 80, {"cat"}})),
                    "an agent message of type 80 has to have either a port or a program");
}

BOOST_AUTO_TEST_CASE(refuses_counts_beyond_their_limit_before_reading_on) {
  BOOST_CHECK_EQUAL(problem_of({65, 0, 0, 0, 1, 255, 255, 255, 255}),
                    "an agent message of type 65 has too many arguments");
  BOOST_CHECK_EQUAL(problem_of({64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}),
                    "an agent message of type 64 has too many files");
  BOOST_CHECK_EQUAL(problem_of({3, 1, 255, 255, 255, 255}), "an agent message of type 3 has too long a text");
}

BOOST_AUTO_TEST_CASE(cuts_a_text_that_is_too_long_when_encoding_it) {
  const Result<Message> message = decode(encode(Failed{BootStage::dhcp, std::string(kTextMax + 10, 'x')}));
  BOOST_REQUIRE(message);
  BOOST_CHECK_EQUAL(std::get<Failed>(*message).reason.size(), kTextMax);
}

BOOST_AUTO_TEST_CASE(lets_a_role_write_only_below_the_root) {
  BOOST_CHECK(check_role_path("etc/dnsmasq.conf"));
  BOOST_CHECK(check_role_path("..a/b.."));
  for (const std::string_view bad :
       {"", "/etc/passwd", "..", "../x", "a/../b", "a/..", "a//b", "a/", "./a"}) {
    BOOST_CHECK_MESSAGE(!check_role_path(bad), bad);
  }
  BOOST_CHECK(!check_role_path(std::string_view("a\0b", 3)));
}

BOOST_AUTO_TEST_CASE(wraps_a_segment_into_a_frame_and_finds_it_again) {
  const MacAddress guest{0x0a, 0x52, 0x4b, 0, 0, 1};
  const ByteBuffer frame = wrap_frame(kHostAddress, guest, as_bytes("hello"));
  BOOST_CHECK_EQUAL(frame.size(), 60);
  BOOST_CHECK_EQUAL(as_text(unwrap_frame(frame).first(5)), "hello");
  ByteBuffer other = frame;
  other[12] = 8;
  BOOST_CHECK(unwrap_frame(other).empty());
  BOOST_CHECK(unwrap_frame(ByteView(frame).first(13)).empty());
}

BOOST_AUTO_TEST_CASE(tells_a_management_nic_by_its_address) {
  BOOST_CHECK(is_management_address(kHostAddress));
  BOOST_CHECK(!is_management_address(MacAddress{0x52, 0x54, 0, 1, 2, 3}));
}
