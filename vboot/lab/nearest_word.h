// The nearest right word for a wrong one, so that an error can say "did you mean …?". Pure; owns nothing.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace rookery::vboot {

// The candidate that `word` most likely stands for: the fewest insertions, deletions, replacements and swaps
// of neighbours, letter case aside, and no more than a third of the word (at least one). Empty if none is
// near. Ties go to the earlier candidate.
std::string_view nearest_word(std::string_view word, std::span<const std::string_view> candidates);

// "; did you mean 'memory'?" or, if nothing is near, "; <what> are: a, b, c".
std::string suggestion(std::string_view word, std::span<const std::string_view> candidates,
                       std::string_view what);

}  // namespace rookery::vboot
