#include "vboot/run/network/spanning_tree.h"

#include <boost/test/unit_test.hpp>

using namespace rookery;
using namespace rookery::vboot;

namespace {

constexpr BitRate kSlow{1'000'000'000}, kFast{10'000'000'000};

}  // namespace

BOOST_AUTO_TEST_SUITE(spanning_tree_suite)

BOOST_AUTO_TEST_CASE(costs_what_the_standard_says) {
  BOOST_TEST(path_cost(kSlow) == 20'000u);
  BOOST_TEST(path_cost(kFast) == 2'000u);
  BOOST_TEST(path_cost(std::nullopt) == 1u);
}

BOOST_AUTO_TEST_CASE(uses_all_trunks_of_a_tree) {
  BOOST_TEST((spanning_tree(3, {{1, 0, kSlow}, {2, 1, kSlow}}) == std::vector<bool>{true, true}));
}

BOOST_AUTO_TEST_CASE(prefers_the_least_cost_then_the_first_switch_then_the_first_trunk) {
  // 0 – 1 – 3 and 0 – 2 – 3
  const auto ring = [](BitRate left, BitRate right) {
    return spanning_tree(4, {{1, 0, left}, {2, 0, right}, {3, 1, left}, {3, 2, right}});
  };
  BOOST_TEST((ring(kSlow, kSlow) == std::vector<bool>{true, true, true, false}));
  BOOST_TEST((ring(kSlow, kFast) == std::vector<bool>{true, true, false, true}));
  BOOST_TEST((spanning_tree(2, {{1, 0, kSlow}, {1, 0, kSlow}}) == std::vector<bool>{true, false}));
  BOOST_TEST((spanning_tree(2, {{1, 0, kSlow}, {1, 0, kFast}}) == std::vector<bool>{false, true}));
}

BOOST_AUTO_TEST_CASE(goes_round_what_is_not_plugged_and_gives_parts_a_tree_each) {
  BOOST_TEST((spanning_tree(3, {{1, 0, kFast, false}, {2, 0, kSlow}, {2, 1, kSlow}}) ==
              std::vector<bool>{false, true, true}));
  BOOST_TEST((spanning_tree(4, {{1, 0, kFast, false}, {2, 1, kSlow}, {3, 1, kSlow}, {3, 2, kSlow}}) ==
              std::vector<bool>{false, true, true, false}));
}

BOOST_AUTO_TEST_SUITE_END()
