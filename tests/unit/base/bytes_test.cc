#include "base/bytes.h"

#include <boost/test/unit_test.hpp>

#include "base/digest.h"

namespace rookery {

BOOST_AUTO_TEST_SUITE(bytes)

BOOST_AUTO_TEST_CASE(what_is_written_is_read_back) {
  ByteWriter writer;
  writer.u8(1).be16(0x0203).be32(0x04050607).be64(8).le16(0x0203).le32(4).le64(5).text("end");
  ByteReader reader(writer.buffer());
  BOOST_TEST(reader.u8() == 1);
  BOOST_TEST(reader.be16() == 0x0203);
  BOOST_TEST(reader.be32() == 0x04050607u);
  BOOST_TEST(reader.be64() == 8u);
  BOOST_TEST(reader.le16() == 0x0203);
  BOOST_TEST(reader.le32() == 4u);
  BOOST_TEST(reader.le64() == 5u);
  BOOST_TEST(as_text(reader.rest()) == "end");
  BOOST_TEST(reader.ok());
}

BOOST_AUTO_TEST_CASE(reading_past_the_end_gives_zero_and_stays_bad) {
  const ByteBuffer two{1, 2};
  ByteReader reader(two);
  BOOST_TEST(reader.be32() == 0u);
  BOOST_TEST(!reader.ok());
  BOOST_TEST(reader.u8() == 0);
  BOOST_TEST(reader.take(1).empty());
}

BOOST_AUTO_TEST_CASE(digests_are_those_of_the_standards) {
  BOOST_TEST(to_hex(sha256(as_bytes("abc"))) ==
             "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-4
  BOOST_TEST(to_hex(sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Hasher parts(Hasher::Kind::blake2b);
  parts.add(as_bytes("a")).add(as_bytes("bc"));
  BOOST_TEST((parts.finish() == blake2b(as_bytes("abc"))));
}

BOOST_AUTO_TEST_CASE(hexadecimal_that_is_none_is_refused) {
  BOOST_TEST((from_hex("00fF").value() == ByteBuffer{0, 255}));
  BOOST_TEST(!from_hex("0"));
  BOOST_TEST(!from_hex("0g"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery
