// Text of others (guests, the network, files of the user) made fit for a terminal: what moves the cursor,
// changes colours, titles or the direction of writing, or answers for the keyboard, is shown and not obeyed.
#pragma once

#include <string>
#include <string_view>

namespace rookery {

// One line. Control characters (C0, DEL, C1), marks that turn the direction of writing, and bytes that are no
// UTF-8 stand as \x1b, \u202e and the like; ends of lines and tabs as blanks.
std::string printable(std::string_view text);
// Several lines: their ends and tabs stay.
std::string printable_lines(std::string_view text);

// A console's bytes as they come, for a terminal that is not the console's own: lines and colours stay, all
// else that is no text is left out (ECMA-48: what moves the cursor, clears, sets modes, titles). It goes on
// where the last piece ended.
class ConsoleFilter {
 public:
  std::string take(std::string_view bytes);
  // What takes back colours that are on; nothing if none are. It may go on behind that.
  std::string calm();

 private:
  enum class In : unsigned char { text, escape, control, string, string_escape };
  void put(unsigned char byte, std::string& out);
  void put_text(unsigned char byte, std::string& out);

  In in_ = In::text;
  std::string held_;  // of a control sequence, or of a character, that has not ended
  bool coloured_ = false;
};

}  // namespace rookery
