#include "vboot/lab/name_patterns.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/test/unit_test.hpp>

using namespace rookery;
using namespace rookery::vboot;

namespace {

std::string names(std::string_view argument) {
  const auto found = names_of(argument);
  return found ? fmt::format("{}", fmt::join(*found, " ")) : found.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(name_patterns)

BOOST_AUTO_TEST_CASE(a_host_list_is_read_as_cluster_tools_have_it) {
  BOOST_TEST(names("n1") == "n1");
  BOOST_TEST(names("n1,n7,server") == "n1 n7 server");
  BOOST_TEST(names("node00[1-3]") == "node001 node002 node003");
  BOOST_TEST(names("node[08-11,15]") == "node08 node09 node10 node11 node15");
  BOOST_TEST(names("rack[1-2]n[1,3],n*") == "rack1n1 rack1n3 rack2n1 rack2n3 n*");
  BOOST_TEST(is_several("n[1-2]"));
  BOOST_TEST(is_several("n?"));
  BOOST_TEST(!is_several("n-12"));
}

BOOST_AUTO_TEST_CASE(what_is_no_host_list_is_refused_by_what_is_wrong) {
  for (const auto& [argument, why] : {std::pair{"n[1-3", "a bracket that is not closed"},
                                      {"n1]", "a bracket that is not closed"},
                                      {"n[3-1]", "'3-1' is no number"},
                                      {"n[]", "'' is no number"},
                                      {"n[a-b]", "'a-b' is no number"},
                                      {"n[1-9999999999]", "is no number"},
                                      {"n[1-5000]", "too many machines"},
                                      {"n[1-99][1-99]", "too many machines"},
                                      {"n1,,n2", "a name is empty"}})
    BOOST_TEST(names(argument).find(why) != std::string::npos, names(argument));
}

BOOST_AUTO_TEST_SUITE_END()
