// What the live view shows, as rows of coloured text: pure, so that it can be looked at without a terminal.
// Who paints it (vboot/cli/live_view.h) knows about terminals and nothing about labs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vboot/report/history.h"

namespace rookery::vboot {

enum class Paint : std::uint8_t { plain, soft, strong, good, bad };

struct Span {
  std::string text;
  Paint paint = Paint::plain;
  std::optional<Stage> stage;  // on its colour
  bool chosen = false;
};
using ScreenRow = std::vector<Span>;
using Screen = std::vector<ScreenRow>;

enum class ViewKey : std::uint8_t { left, right, up, down, first, last, into, back, next_failed };

// How machines are laid out: with name and stage, with a name, a character each, or several a character.
struct Grid {
  enum class Kind : std::uint8_t { full, named, dots };
  Kind kind = Kind::full;
  std::size_t width = 1;     // of a cell
  std::size_t across = 1;    // cells in a row
  std::size_t per_cell = 1;  // machines
};
Grid grid_for(std::size_t machines, std::size_t longest_name, std::size_t columns, std::size_t rows,
              std::size_t longest_stage = 8);

// Where somebody looks.
struct ViewState {
  std::optional<std::size_t> chosen;  // a machine
  bool inside = false;                // looking into it
  Grid grid;                          // as it was last shown

  void press(ViewKey key, const History& history);
};

struct LiveInput {
  const History& history;
  Duration now{0};
  std::string title;
  std::vector<std::string> messages;  // the newest last
  std::vector<std::string> console;   // the last lines of the chosen machine
  // What each machine has against it now ("frozen", "loss"), and whether that stops it; empty: none has.
  std::vector<std::vector<std::string>> in_the_way{};
  std::vector<bool> stopped{};

  bool is_stopped(std::size_t machine) const { return machine < stopped.size() && stopped[machine]; }
  // "ready, frozen"
  std::string stage_in_words(std::size_t machine) const;
};
Screen compose(const LiveInput& input, ViewState& view, std::size_t columns, std::size_t rows);

}  // namespace rookery::vboot
