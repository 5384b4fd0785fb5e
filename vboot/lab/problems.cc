#include "vboot/lab/problems.h"

#include <fmt/format.h>

#include <algorithm>

namespace rookery::vboot {

std::string at_place(std::string_view filename, Place place, std::string_view message) {
  if (!place.file.empty()) filename = place.file;
  if (place.line == 0) return fmt::format("{}: {}", filename, message);
  return fmt::format("{}:{}:{}: {}", filename, place.line, place.column, message);
}

void Problems::add(Place place, std::string message) {
  // A word that counts for several machines is wrong once.
  const auto is_it = [&](const Problem& one) { return one.place == place && one.message == message; };
  if (std::any_of(found_.begin(), found_.end(), is_it)) return;
  if (place.file.empty()) in_own_file_ = true;
  if (found_.size() == kLimit) {
    ++not_kept_[place.file];
    return;
  }
  found_.push_back({std::move(place), std::move(message)});
}

Error Problems::to_error() const {
  std::vector<Problem> sorted = found_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
    return a.place.file != b.place.file ? a.place.file < b.place.file : a.place < b.place;
  });
  std::string message;
  for (const Problem& problem : sorted) {
    if (!message.empty()) message += '\n';
    message += at_place(filename_, problem.place, problem.message);
  }
  for (const auto& [file, count] : not_kept_)
    message += fmt::format("\n{}: and {} more", file.empty() ? filename_ : file, count);
  return Error{ErrorKind::usage, std::move(message)};
}

}  // namespace rookery::vboot
