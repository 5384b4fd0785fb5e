#include "guest/script/boot_url.h"

#include <boost/test/unit_test.hpp>

using namespace rookery;
using namespace rookery::ipxe;

namespace {

std::string resolved(std::string_view base, std::string_view reference) {
  const auto url = resolve_url(*parse_url(base), reference);
  return url ? url->to_string() : url.error().message;
}

}  // namespace

BOOST_AUTO_TEST_CASE(takes_an_address_apart) {
  const auto url = parse_url("HTTP://boot.example:8080/a/b.ipxe?mac=1/2");
  BOOST_REQUIRE(url);
  BOOST_CHECK_EQUAL(url->scheme, "http");
  BOOST_CHECK_EQUAL(url->host, "boot.example");
  BOOST_CHECK_EQUAL(url->port, 8080);
  BOOST_CHECK_EQUAL(url->path, "/a/b.ipxe?mac=1/2");
  BOOST_CHECK_EQUAL(url->file_name(), "b.ipxe");
  BOOST_CHECK_EQUAL(parse_url("tftp://10.0.0.1")->to_string(), "tftp://10.0.0.1/");
  BOOST_CHECK_EQUAL(parse_url("http://[fe80::1]:81/x")->host, "fe80::1");
  BOOST_CHECK_EQUAL(parse_url("http://[fe80::1]:81/x")->to_string(), "http://[fe80::1]:81/x");
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_address) {
  for (const std::string_view bad :
       {"", "boot.ipxe", "http:/x", "http://", "http:///x", "http://user@h/x", "http://h:0/",
        "http://h:65536/", "http://h:/", "http://h:x/", "http://[::1/x", "http://[::1]x/", "http://h/a b",
        "http://h/\x01", "://h/", "http://-o/x"}) {
    BOOST_CHECK_MESSAGE(!parse_url(bad), bad);
  }
  BOOST_CHECK(!parse_url("http://h/" + std::string(kUrlMax, 'x')));
}

BOOST_AUTO_TEST_CASE(resolves_references_against_the_script) {
  constexpr std::string_view base = "http://h:81/a/b/c.ipxe?x=/y/";
  BOOST_CHECK_EQUAL(resolved(base, "d"), "http://h:81/a/b/d");
  BOOST_CHECK_EQUAL(resolved(base, "../d?e"), "http://h:81/a/d?e");
  BOOST_CHECK_EQUAL(resolved(base, "./d/./e/.."), "http://h:81/a/b/d/");
  BOOST_CHECK_EQUAL(resolved(base, "../../../../d"), "http://h:81/d");
  BOOST_CHECK_EQUAL(resolved(base, "/d"), "http://h:81/d");
  BOOST_CHECK_EQUAL(resolved(base, "//other/d"), "http://other/d");
  BOOST_CHECK_EQUAL(resolved(base, "tftp://t/d"), "tftp://t/d");
  BOOST_CHECK_EQUAL(resolved("tftp://10.0.0.1/", "pxe/boot.ipxe"), "tftp://10.0.0.1/pxe/boot.ipxe");
  BOOST_CHECK_EQUAL(resolved(base, ""), "an empty address");
}
