#include "images/make/debian_system.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>

using namespace rookery;
using namespace rookery::images;

namespace {
const std::string kSigned = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ";
}

BOOST_AUTO_TEST_CASE(takes_the_suite_its_updates_and_its_security_fixes_from_apts_mirrors) {
  const auto lines = debian_sources(
      "Packages main bookworm-security http://mirror.example/security/\n"
      "Packages main bookworm http://mirror.example/debian/\n"
      "Translations main bookworm http://mirror.example/debian/\n"
      "Packages contrib bookworm http://mirror.example/debian/\n"
      "Packages main bookworm-updates http://mirror.example/debian/\n"
      "Packages main bookworm-backports http://mirror.example/debian/\n"
      "Packages main stable http://other.example/\n",
      "bookworm");
  BOOST_REQUIRE(lines);
  const std::vector<std::string> expected = {
      kSigned + "http://mirror.example/security/ bookworm-security main",
      kSigned + "http://mirror.example/debian/ bookworm main",
      kSigned + "http://mirror.example/debian/ bookworm-updates main"};
  BOOST_TEST(*lines == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(asks_the_mirror_of_another_release_for_the_suite) {
  const auto lines = debian_sources("Packages main trixie http://mirror.example/debian/\n", "bookworm");
  BOOST_REQUIRE(lines);
  BOOST_REQUIRE(lines->size() == 1u);
  BOOST_TEST(lines->at(0) == kSigned + "http://mirror.example/debian/ bookworm main");
}

BOOST_AUTO_TEST_CASE(says_that_there_is_no_mirror) {
  BOOST_TEST(debian_sources("", "bookworm").error().message ==
             "apt on this machine is configured with no Debian mirror");
}

BOOST_AUTO_TEST_CASE(wants_ids_for_a_whole_system) {
  BOOST_TEST(has_subordinate_ids("ada:100000:65536\n", "ada", 1000));
  BOOST_TEST(has_subordinate_ids("bob:1:1\n1000:100000:65536\n", "ada", 1000));
  BOOST_TEST(!has_subordinate_ids("ada:100000:1000\n", "ada", 1000));
  BOOST_TEST(!has_subordinate_ids("bob:100000:65536\n", "ada", 1000));
  BOOST_TEST(!has_subordinate_ids("ada\nada:\n:\n::65536\nada:1:x\n", "ada", 1000));
}

BOOST_AUTO_TEST_CASE(builds_without_root_unless_it_is_root) {
  const DebianRecipe recipe;
  const auto has = [&](bool as_root, std::string_view word) {
    const auto argv =
        mmdebstrap_command(recipe, as_root, {"Acquire::http::Proxy \"http://proxy.example\";"}, "s", "t");
    return std::find(argv.begin(), argv.end(), word) != argv.end();
  };
  BOOST_TEST(has(false, "--mode=unshare"));
  BOOST_TEST(has(true, "--mode=root"));
  BOOST_TEST(has(false, "--aptopt=Acquire::http::Proxy \"http://proxy.example\";"));
  BOOST_TEST(has(false,
                 "--include=busybox-static,curl,iproute2,kmod,libisns0,libopeniscsiusr,openssh-client,"
                 "openssh-server,openssl,procps"));
  const auto argv = mmdebstrap_command(recipe, false, {}, "sources", "destination");
  BOOST_TEST(argv.at(argv.size() - 3) == "bookworm");
  BOOST_TEST(argv.at(argv.size() - 2) == "destination");
  BOOST_TEST(argv.back() == "sources");
}

BOOST_AUTO_TEST_CASE(lays_the_packages_of_a_role_over_a_system) {
  const auto of = [](std::string_view role) {
    return extend_command({}, role, {"distcc", "gcc"}, true, {}, "/base.tar", "sources", "destination");
  };
  const auto argv = of("distcc");
  const auto has = [&](std::string_view word) {
    return std::find(argv.begin(), argv.end(), word) != argv.end();
  };
  BOOST_TEST(has("--variant=custom"));
  BOOST_TEST(has("--include=distcc,gcc"));
  BOOST_TEST(has("--setup-hook=tar-in \"/base.tar\" /"));
  BOOST_TEST(argv.back() == "sources");
  // The users that its packages make have numbers of its own.
  const auto hook = [](const std::vector<std::string>& words) {
    for (const std::string& word : words) {
      if (word.starts_with("--setup-hook=first=")) return word.substr(0, word.find('\n'));
    }
    return std::string();
  };
  BOOST_TEST(hook(argv) == "--setup-hook=first=760 last=779");
  BOOST_TEST(hook(of("boot-server")) == "--setup-hook=first=520 last=539");
}
