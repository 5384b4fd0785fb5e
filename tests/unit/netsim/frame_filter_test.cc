#include "netsim/faults/frame_filter.h"

#include "packets.h"

namespace rookery::netsim {
namespace {

std::shared_ptr<const FrameFilter> filter(std::string_view expression) {
  auto made = FrameFilter::compile(expression);
  BOOST_REQUIRE_MESSAGE(made, made.error().message);
  return *made;
}
std::string refusal(std::string_view expression) {
  const auto made = FrameFilter::compile(expression);
  BOOST_REQUIRE(!made);
  BOOST_TEST((made.error().kind == ErrorKind::usage));
  return made.error().message;
}

Frame tftp() {
  return Frame::copy(udp_frame(kClient, 2070, kServer, 69, tftp_read("undionly.kpxe")));
}
Frame http() {
  return Frame::copy(tcp_frame(kClient, 40'000, kServer, 80, kAck, "GET / HTTP/1.0\r\n\r\n"));
}

BOOST_AUTO_TEST_SUITE(frame_filter_suite)

BOOST_AUTO_TEST_CASE(matches_as_tcpdump_would) {
  BOOST_TEST(filter("udp port 69")->matches(tftp()));
  BOOST_TEST(!filter("udp port 69")->matches(http()));
  BOOST_TEST(filter("tcp dst port 80 and host 10.0.0.7")->matches(http()));
  BOOST_TEST(!filter("tcp dst port 80 and not host 10.0.0.7")->matches(http()));
  BOOST_TEST(filter("udp[8:2] = 1 and ether src 52:54:00:00:00:07")->matches(tftp()));
  BOOST_TEST(filter("tcp[tcpflags] & tcp-ack != 0")->matches(http()));
}

BOOST_AUTO_TEST_CASE(sees_a_tagged_frame_without_its_tag_unless_it_speaks_of_vlans) {
  const Frame tagged = tftp().tagged({10});
  BOOST_TEST(filter("udp port 69")->matches(tagged));
  BOOST_TEST(filter("vlan 10 and udp port 69")->matches(tagged));
  BOOST_TEST(!filter("vlan 20")->matches(tagged));
  BOOST_TEST(!filter("vlan 10")->matches(tftp()));
}

BOOST_AUTO_TEST_CASE(knows_the_labs_machines_and_asks_the_host_for_no_name) {
  const auto made = FrameFilter::compile("host n7", [](std::string_view name) -> std::optional<std::string> {
    if (name == "n7") return "10.0.0.7";
    return std::nullopt;
  });
  BOOST_REQUIRE(made);
  BOOST_TEST((*made)->matches(http()));
  BOOST_TEST(refusal("host localhost").find("'localhost' is neither") != std::string::npos);
  BOOST_TEST(refusal("udp port tftp").find("'tftp'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_expression_and_what_is_too_long) {
  BOOST_TEST(refusal("udp port").find("match: ") == 0U);
  BOOST_TEST(refusal("((udp)").find("match: ") == 0U);
  BOOST_TEST(refusal(std::string(513, ' ')).find("at most 512") != std::string::npos);
  BOOST_TEST(refusal("udp \n").find("printable") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace rookery::netsim
