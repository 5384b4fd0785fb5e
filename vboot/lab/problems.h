// The problems of one file, collected so that a person sees them all at once. Lives for one parse.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rookery::vboot {

// Where something stands in a text file; both count from 1. Line 0 means the file as a whole.
struct Place {
  int line = 0;
  int column = 0;
  std::string file{};  // empty: the one that is being read
  friend auto operator<=>(const Place&, const Place&) = default;
};

// "examples/classroom.yaml:7:5: message"
std::string at_place(std::string_view filename, Place place, std::string_view message);

class Problems {
 public:
  static constexpr std::size_t kLimit = 20;  // more are counted, not kept

  explicit Problems(std::string_view filename) : filename_(filename) {}

  void add(Place place, std::string message);
  bool empty() const { return found_.empty(); }
  // All are in files that the one that is read names, such as tables of machines.
  bool only_beside() const { return !found_.empty() && !in_own_file_; }
  // One usage error: a line for each problem, in the order of each file, and how many more there are.
  Error to_error() const;

 private:
  struct Problem {
    Place place;
    std::string message;
  };
  std::string filename_;
  std::vector<Problem> found_;
  std::map<std::string, std::size_t> not_kept_;  // by file
  bool in_own_file_ = false;
};

}  // namespace rookery::vboot
