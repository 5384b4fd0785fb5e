#include "vboot/supervisor/console_log.h"

#include <algorithm>

namespace rookery::vboot {

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
    std::string line;
    for (char c : text.substr(start, end - start)) {
      if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) line += c;
    }
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
