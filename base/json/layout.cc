#include "base/json/layout.h"

namespace rookery {
namespace {

class Writer {
 public:
  explicit Writer(JsonLayout layout) : layout_(layout) {}

  void write(JsonView value) {
    if (value.is_object()) return write_members(value);
    if (value.is_array()) return write_elements(value);
    write_text(value.dump());
  }
  std::string take() { return std::move(text_); }

 private:
  void write_members(JsonView object) {
    begin('{');
    bool first = true;
    for (const auto& [key, value] : object.members()) {
      next(std::exchange(first, false));
      write_text(Json::string(key).dump());
      text_ += layout_.spaced ? ": " : ":";
      write(value);
    }
    end('}');
  }
  void write_elements(JsonView array) {
    begin('[');
    for (std::size_t i = 0; i < array.size(); ++i) {
      next(i == 0);
      write(array.at(i));
    }
    end(']');
  }

  // A '/' stands in strings alone, and json-c's own text has none escaped.
  void write_text(std::string_view text) {
    for (const char c : text) {
      if (c == '/' && layout_.escape_slashes) text_ += '\\';
      text_ += c;
    }
  }
  void begin(char bracket) {
    text_ += bracket;
    ++depth_;
  }
  void next(bool first) {
    if (!first) text_ += layout_.spaced && !layout_.in_lines ? ", " : ",";
    new_line();
  }
  // In lines also of an empty one, as json-c does it.
  void end(char bracket) {
    --depth_;
    new_line();
    text_ += bracket;
  }
  void new_line() {
    if (layout_.in_lines) text_.append(1, '\n').append(2 * depth_, ' ');
  }

  JsonLayout layout_;
  std::string text_;
  std::size_t depth_ = 0;
};

}  // namespace

std::string write_json(JsonView value, JsonLayout layout) {
  Writer writer(layout);
  writer.write(value);
  return writer.take();
}

}  // namespace rookery
