#include "vboot/lab/nearest_word.h"

#include <array>
#include <boost/test/unit_test.hpp>
#include <string>

using namespace rookery::vboot;

namespace {
constexpr std::array<std::string_view, 4> kWords{"memory", "role", "count", "backend"};
}

BOOST_AUTO_TEST_SUITE(nearest_word_suite)

BOOST_AUTO_TEST_CASE(finds_a_word_with_a_letter_too_many_too_few_wrong_or_swapped) {
  BOOST_TEST(nearest_word("memmory", kWords) == "memory");
  BOOST_TEST(nearest_word("memry", kWords) == "memory");
  BOOST_TEST(nearest_word("memary", kWords) == "memory");
  BOOST_TEST(nearest_word("rloe", kWords) == "role");
}

BOOST_AUTO_TEST_CASE(does_not_mind_capitals) {
  BOOST_TEST(nearest_word("Backend", kWords) == "backend");
}

BOOST_AUTO_TEST_CASE(finds_nothing_for_a_word_that_is_far_from_all) {
  BOOST_TEST(nearest_word("", kWords).empty());
  BOOST_TEST(nearest_word("disk", kWords).empty());
  BOOST_TEST(nearest_word("x", kWords).empty());
  BOOST_TEST(nearest_word(std::string(100'000, 'm'), kWords).empty());
}

BOOST_AUTO_TEST_CASE(prefers_the_nearer_and_then_the_earlier_word) {
  constexpr std::array<std::string_view, 3> words{"aaaa", "aabb", "aaab"};
  BOOST_TEST(nearest_word("aabb", words) == "aabb");
  BOOST_TEST(nearest_word("aaac", words) == "aaaa");
}

BOOST_AUTO_TEST_CASE(lists_the_words_when_none_is_near) {
  BOOST_TEST(suggestion("cuont", kWords, "keys") == "; did you mean 'count'?");
  BOOST_TEST(suggestion("disk", kWords, "keys") == "; keys are: memory, role, count, backend");
}

BOOST_AUTO_TEST_SUITE_END()
