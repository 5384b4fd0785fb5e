// Columns for people: each as wide as its longest text, so that names of any length stay in theirs.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace rookery::vboot {

class Table {
 public:
  // `least`: the widths that columns have at least; the last column is not filled.
  explicit Table(std::vector<std::string> head, std::vector<std::size_t> least = {})
      : widths_(std::move(least)) {
    widths_.resize(head.size(), 0);
    row(std::move(head));
  }
  void row(std::vector<std::string> cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) widths_[i] = std::max(widths_[i], characters(cells[i]));
    rows_.push_back(std::move(cells));
  }
  // A line for each row, with one blank between columns and none at the end.
  std::string text() const {
    std::string text;
    for (const auto& cells : rows_) {
      for (std::size_t i = 0; i < cells.size(); ++i) {
        if (i > 0) text += ' ';
        text += cells[i];
        if (i + 1 < cells.size()) text.append(widths_[i] - characters(cells[i]), ' ');
      }
      text.erase(text.find_last_not_of(' ') + 1);
      text += '\n';
    }
    return text;
  }

 private:
  // Of UTF-8: bytes that go on with a character have none of their own.
  static std::size_t characters(const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
  }

  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace rookery::vboot
