#include "vboot/run/machine/console_log.h"

#include <algorithm>

#include "base/printable.h"

namespace rookery::vboot {
namespace {

// Without control characters and, as firmware moves the cursor in the middle of words, without control
// sequences (ECMA-48 §5.4: ESC [, parameters, and one byte from @ to ~).
std::string readable(std::string_view text) {
  std::string line;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (text.substr(i, 2) == "\x1b[") {
      for (++i; i + 1 < text.size() && (text[i + 1] < '@' || text[i + 1] > '~');) ++i;
      ++i;
    } else if (c >= 0x20 && c != 0x7f) {
      line += text[i];
    }
  }
  return printable(line);
}

}  // namespace

void ConsoleLog::append(std::string_view bytes) {
  text_ += bytes;
  // Cut at twice the limit, so that a byte is moved once on average.
  if (text_.size() > 2 * limit_.count) {
    const std::size_t cut = text_.size() - limit_.count;
    text_.erase(0, cut);
    dropped_ += cut;
  }
  const auto followers = followers_;
  for (const auto& [id, follower] : followers) {
    if (followers_.count(id) != 0) follower(bytes);
  }
}

std::vector<std::string> ConsoleLog::last_lines(std::size_t count, std::uint64_t after) const {
  std::vector<std::string> lines;
  const std::string_view text =
      std::string_view(text_).substr(after > dropped_ ? std::min(after - dropped_, text_.size()) : 0);
  std::size_t end = text.size();
  while (lines.size() < count && end > 0) {
    const std::size_t newline = text.rfind('\n', end - 1);
    const std::size_t start = newline == std::string::npos ? 0 : newline + 1;
    std::string line = readable(text.substr(start, end - start));
    if (!line.empty()) lines.push_back(std::move(line));
    if (newline == std::string::npos) break;
    end = newline;
  }
  std::reverse(lines.begin(), lines.end());
  return lines;
}

int ConsoleLog::follow(Follower follower) {
  followers_[++last_id_] = std::move(follower);
  return last_id_;
}

}  // namespace rookery::vboot
