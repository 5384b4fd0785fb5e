#include "vboot/lab/words.h"

#include <algorithm>

namespace rookery::vboot {
namespace {

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

}  // namespace

bool is_name(std::string_view text, std::size_t longest, std::string_view also) {
  if (text.empty() || text.size() > longest || text[0] < 'a' || text[0] > 'z') return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_lower_or_digit(c) || also.find(c) != std::string_view::npos; });
}

bool is_domain(std::string_view text) {
  if (text.empty() || text.size() > 128) return false;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('.', start), text.size());
    const std::string_view label = text.substr(start, end - start);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(), [](char c) { return is_lower_or_digit(c) || c == '-'; })) {
      return false;
    }
    start = end + 1;
  }
  return true;
}

}  // namespace rookery::vboot
