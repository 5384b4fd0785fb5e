// The last part of what a machine wrote to its console, bounded, and who follows it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace rookery::vboot {

class ConsoleLog {
 public:
  explicit ConsoleLog(Bytes limit = Bytes{64u << 10}) : limit_(limit) {}

  void append(std::string_view bytes);
  const std::string& text() const { return text_; }
  std::uint64_t dropped() const { return dropped_; }                 // bytes no longer kept
  std::uint64_t written() const { return dropped_ + text_.size(); }  // bytes, ever
  // The last lines that are not empty, without control characters and sequences; of what was written after
  // the first `after` bytes.
  std::vector<std::string> last_lines(std::size_t count, std::uint64_t after = 0) const;

  // Called with what is appended from now on, until unfollow(). A follower may unfollow itself.
  using Follower = std::function<void(std::string_view)>;
  int follow(Follower follower);
  void unfollow(int id) { followers_.erase(id); }

 private:
  Bytes limit_;
  std::string text_;
  std::uint64_t dropped_ = 0;
  std::map<int, Follower> followers_;
  int last_id_ = 0;
};

}  // namespace rookery::vboot
