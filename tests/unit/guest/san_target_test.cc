// Names of disks on a storage network, and the tables of firmware that started from one.
#include "guest/storage/san_target.h"

#include <boost/test/unit_test.hpp>

using namespace rookery;
using namespace rookery::san;

namespace {

std::string why_not(std::string_view text) {
  const auto target = parse_target(text);
  return target ? "" : target.error().message;
}

// Sets the checksum (ACPI 6.5 §5.2.6: the sum of all bytes is zero).
ByteBuffer summed(ByteBuffer table) {
  std::uint8_t sum = 0;
  table[9] = 0;
  for (std::uint8_t byte : table) sum = static_cast<std::uint8_t>(sum + byte);
  table[9] = static_cast<std::uint8_t>(-sum);
  return table;
}

// As iPXE's src/drivers/block/ibft.c lays it out: header, control, initiator, one NIC, one target, texts.
ByteBuffer ibft(std::string_view target = "iqn.2026-11.example:disk", std::uint8_t flags = 3) {
  const std::string_view initiator = "iqn.2026-11.example:n1";
  constexpr std::uint16_t kInitiator = 72, kNic = 152, kTarget = 256, kTexts = 312;
  ByteWriter table;
  table.text("iBFT").le32(static_cast<std::uint32_t>(kTexts + initiator.size() + target.size())).u8(1).u8(0);
  table.text("RKRY  ").text("RKRYTEST").zeros(24);
  table.u8(1).u8(1).le16(18).u8(0).u8(0).le16(0).le16(kInitiator).le16(kNic).le16(kTarget).le16(0).le16(0);
  table.zeros(kInitiator - table.size()).u8(2).u8(1).le16(74).u8(0).u8(flags).zeros(64);
  table.le16(static_cast<std::uint16_t>(initiator.size())).le16(kTexts);
  table.zeros(kTarget - table.size()).u8(4).u8(1).le16(54).u8(0).u8(flags);
  table.zeros(10).be16(0xffff).u8(10).u8(77).u8(0).u8(1).le16(3261);
  table.be16(1).zeros(6).u8(0).u8(0).le16(static_cast<std::uint16_t>(target.size()));
  table.le16(static_cast<std::uint16_t>(kTexts + initiator.size()));
  table.zeros(kTexts - table.size()).text(initiator).text(target);
  return summed(table.take());
}

ByteBuffer abft() {
  ByteWriter table;
  table.text("aBFT").le32(46).u8(1).u8(0).zeros(26).le16(0x0102).u8(7).u8(0).zeros(6);
  return summed(table.take());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(san_target)

BOOST_AUTO_TEST_CASE(reads_an_iscsi_name_with_and_without_what_may_be_left_out) {
  const auto whole = parse_target("iscsi:10.77.0.1:6:3261:2:iqn.2026-11.example:disk.a");
  BOOST_REQUIRE(whole);
  const auto& disk = std::get<IscsiTarget>(**whole);
  BOOST_TEST(disk.host == "10.77.0.1");
  BOOST_TEST(disk.port == 3261);
  BOOST_TEST(disk.lun == 2);
  BOOST_TEST(disk.name == "iqn.2026-11.example:disk.a");
  BOOST_TEST(to_text(**whole) == "iscsi:10.77.0.1:6:3261:2:iqn.2026-11.example:disk.a");
  const auto brief = parse_target("iscsi:10.77.0.1::::iqn.2026-11.example:disk");
  BOOST_REQUIRE(brief);
  BOOST_TEST(std::get<IscsiTarget>(**brief).port == 3260);
  BOOST_TEST(std::get<IscsiTarget>(**brief).lun == 0);
}

BOOST_AUTO_TEST_CASE(reads_an_aoe_name) {
  const auto target = parse_target("aoe:e12.3");
  BOOST_REQUIRE(target);
  BOOST_TEST(std::get<AoeTarget>(**target).to_string() == "e12.3");
}

BOOST_AUTO_TEST_CASE(leaves_other_schemes_to_others) {
  for (const char* text : {"", "nbd://10.77.0.1/root", "nfs://10.77.0.1/tree", "iscsi", "aoe"}) {
    const auto target = parse_target(text);
    BOOST_REQUIRE(target);
    BOOST_TEST(!target->has_value());
  }
}

BOOST_AUTO_TEST_CASE(says_what_is_wrong_with_a_name) {
  BOOST_TEST(
      why_not("iscsi:10.77.0.1:6") ==
      "'iscsi:10.77.0.1:6' names no disk: it has not all parts of iscsi:server:protocol:port:LUN:target");
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"iscsi:server::::iqn.x", "its server is not an IPv4 address"},
           {"iscsi:10.77.0::::iqn.x", "its server is not an IPv4 address"},
           {"iscsi:10.77.0.1.::::iqn.x", "its server is not an IPv4 address"},
           {"iscsi:10.77.0.1:17:::iqn.x", "its protocol is not 6, which is TCP"},
           {"iscsi:10.77.0.1::0::iqn.x", "its port is no number from 1 to 65535"},
           {"iscsi:10.77.0.1::65536::iqn.x", "its port is no number from 1 to 65535"},
           {"iscsi:10.77.0.1:::100:iqn.x", "its LUN is no hexadecimal number up to ff"},
           {"iscsi:10.77.0.1::::disk", "its target has no name like iqn.2026-11.example:disk"},
           {"iscsi:10.77.0.1::::iqn.a b", "its target has no name like iqn.2026-11.example:disk"},
           {"iscsi:10.77.0.1::::iqn." + std::string(220, 'x'),
            "its target has no name like iqn.2026-11.example:disk"},
           {"aoe:0.1", "it is not like aoe:e0.1"},
           {"aoe:e65535.0", "it is not like aoe:e0.1"},
           {"aoe:e0.255", "it is not like aoe:e0.1"},
           {"aoe:e0", "it is not like aoe:e0.1"}}) {
    BOOST_TEST(why_not(text).ends_with(why), text << ": " << why_not(text));
  }
}

BOOST_AUTO_TEST_CASE(finds_the_target_and_the_initiator_in_an_ibft) {
  const auto target = parse_boot_table(ibft());
  BOOST_REQUIRE_MESSAGE(target, target.error().message);
  const auto& disk = std::get<IscsiTarget>(*target);
  BOOST_TEST(disk.host == "10.77.0.1");
  BOOST_TEST(disk.port == 3261);
  BOOST_TEST(disk.lun == 1);
  BOOST_TEST(disk.name == "iqn.2026-11.example:disk");
  BOOST_TEST(disk.initiator == "iqn.2026-11.example:n1");
}

BOOST_AUTO_TEST_CASE(finds_the_disk_in_an_abft) {
  const auto target = parse_boot_table(abft());
  BOOST_REQUIRE_MESSAGE(target, target.error().message);
  BOOST_TEST(std::get<AoeTarget>(*target).to_string() == "e258.7");
}

BOOST_AUTO_TEST_CASE(refuses_a_damaged_table) {
  ByteBuffer table = ibft();
  for (std::size_t size : {0, 7, 35, 100}) BOOST_TEST(!parse_boot_table(ByteView(table).first(size)));
  table[100] ^= 1;
  BOOST_TEST(parse_boot_table(table).error().message == "a boot firmware table with a wrong checksum");
  for (std::size_t at : {56, 60, 290, 292, 142, 144}) {  // each field that says where something is
    ByteBuffer wrong = ibft();
    wrong[at] = wrong[at + 1] = 0xff;
    BOOST_TEST(!parse_boot_table(summed(wrong)), at);
  }
  BOOST_TEST(!parse_boot_table(ibft("iqn.a b")));
  BOOST_TEST(parse_boot_table(ibft("iqn.a", 0)).error().message == "the iBFT's first target is not valid");
}

BOOST_AUTO_TEST_CASE(finds_the_first_good_table_in_memory) {
  BOOST_TEST(!find_boot_table({}).has_value());
  ByteBuffer memory(65536), damaged = ibft();
  damaged[50] ^= 1;
  std::copy(damaged.begin(), damaged.end(), memory.begin() + 4096);
  BOOST_TEST(!find_boot_table(memory).has_value());
  const ByteBuffer good = abft();
  std::copy(good.begin(), good.end(), memory.end() - 48);
  const auto found = find_boot_table(memory);
  BOOST_REQUIRE(found);
  BOOST_TEST(std::get<AoeTarget>(*found).slot == 7);
}

BOOST_AUTO_TEST_SUITE_END()
