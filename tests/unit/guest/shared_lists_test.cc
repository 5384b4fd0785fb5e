#include "guest/storage/shared_lists.h"

#include <boost/test/unit_test.hpp>

using namespace rookery;
using Kind = SharedList::Kind;

namespace {

const std::string kUsers = "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run:/bin/false\n";
const std::string kStatus = "Package: bash\nVersion: 1\n\nPackage: zlib\nVersion: 1\n\n";

}  // namespace

BOOST_AUTO_TEST_CASE(what_a_system_has_more_is_added_and_nothing_else) {
  BOOST_TEST(added_records(Kind::accounts, kUsers, kUsers) == "");
  BOOST_TEST(added_records(Kind::accounts, kUsers, kUsers + "statd:x:260:1::/:/bin/false\n") ==
             "statd:x:260:1::/:/bin/false\n");
  BOOST_TEST(added_records(Kind::lines, "/bin/sh\n/bin/bash\n", "/bin/bash\n/bin/dash\n/bin/sh") ==
             "/bin/dash\n");
  BOOST_TEST(
      added_records(Kind::paragraphs, kStatus,
                    "Package: bash\nVersion: 1\n\nPackage: gcc\nVersion: 2\n\nPackage: zlib\nVersion: 3\n") ==
      "Package: gcc\nVersion: 2\n\nPackage: zlib\nVersion: 3\n\n");
}

BOOST_AUTO_TEST_CASE(records_take_the_places_of_their_namesakes_or_come_last) {
  BOOST_TEST(
      with_records(Kind::paragraphs, kStatus, "Package: gcc\nVersion: 2\n\nPackage: bash\nVersion: 3\n\n")
          .value() ==
      "Package: bash\nVersion: 3\n\nPackage: zlib\nVersion: 1\n\nPackage: gcc\nVersion: 2\n\n");
  BOOST_TEST(with_records(Kind::fields, "root:*:1::::::\n", "root:!:1::::::\nstatd:!:2::::::\n").value() ==
             "root:!:1::::::\nstatd:!:2::::::\n");
  BOOST_TEST(with_records(Kind::lines, "", "one\n\n\ntwo").value() == "one\ntwo\n");
}

BOOST_AUTO_TEST_CASE(packages_of_two_layers_are_both_there) {
  const auto first = with_records(Kind::paragraphs, kStatus, "Package: gcc\nVersion: 2\n\n");
  const auto both = with_records(Kind::paragraphs, *first, "Package: tgt\nVersion: 4\n\n");
  BOOST_TEST(both.value() == kStatus + "Package: gcc\nVersion: 2\n\nPackage: tgt\nVersion: 4\n\n");
}

BOOST_AUTO_TEST_CASE(two_accounts_with_one_number_are_refused_by_name) {
  const auto users = with_records(Kind::accounts, kUsers, "statd:x:100:1::/:/bin/false\n");
  BOOST_REQUIRE(!users);
  BOOST_TEST(users.error().message == "'sshd' and 'statd' have the same number, 100");
  BOOST_TEST(with_records(Kind::accounts, kUsers, "sshd:x:101:1::/:/bin/false\n").has_value());
}

BOOST_AUTO_TEST_CASE(what_has_gone_is_seen) {
  BOOST_TEST(lacks_records(Kind::paragraphs, kStatus, "Package: bash\nVersion: 2\n\n"));
  BOOST_TEST(!lacks_records(Kind::paragraphs, kStatus, "Package: zlib\n\nPackage: bash\nVersion: 2\n\n"));
}
