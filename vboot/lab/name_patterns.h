// Which machines are meant by what a person writes: a name, a pattern (n*, n1?), a list (n1,n2), a host list
// as cluster tools have them (node00[1-3], rack[1,3]n[01-12]). Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rookery::vboot {

inline constexpr std::size_t kNamesOfOneMost = 4096;  // that one argument may stand for

// Whether the pattern (a name with * and ?) fits the name.
bool fits(std::string_view pattern, std::string_view name);
// Whether it may stand for several.
bool is_several(std::string_view argument);
// The names and patterns (* and ?) that the argument is short for, in its order. An error of kind usage says
// what is wrong with its brackets.
Result<std::vector<std::string>> names_of(std::string_view argument);

}  // namespace rookery::vboot
