// The picture of a run: a lane for each machine with its stages as colours, faults as bands, and below them
// the boot server's traffic and the memory. Pure: the same history gives the same bytes. The shapes are in
// milliseconds and lanes, so that who shows them (the page) can stretch them; to_svg() puts them together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vboot/report/history.h"

namespace rookery::vboot {

// How a stage looks, on paper and on a terminal. The colours can be told apart by people who do not see all
// of them (after Paul Tol's schemes), and the stages of a boot go from dark to light.
struct StageLook {
  Stage stage;
  std::string_view colour;    // "#rrggbb"
  unsigned char on_terminal;  // of xterm's 256
  unsigned char on_few;       // of eight
  char letter;
};
const StageLook& look_of(Stage stage);
inline constexpr Stage kStages[] = {Stage::firmware, Stage::dhcp,  Stage::script, Stage::kernel,
                                    Stage::root,     Stage::ready, Stage::failed, Stage::off};

// Text for HTML and SVG: what could be markup is not, what is not UTF-8 or controls a terminal or the
// direction of writing is U+FFFD; line breaks and tabs stay.
std::string escaped(std::string_view text);
// The same for a terminal: no markup, and no line breaks either.
std::string printable(std::string_view text);

struct Lane {
  std::size_t machine = 0;  // in the history
  double y = 0, height = 0;
};
// The boot server on top, then what failed, then the others in the order of the plan. Lanes of many machines
// are thin, but those of the first that failed never are.
std::vector<Lane> lay_out(const History& history);
double height_of(const std::vector<Lane>& lanes);
inline constexpr double kNamedLane = 11;  // a lane of this height has room for its name

// What is shown ends a little after the last thing that happened, however long the lab stayed up.
Duration shown_end(const History& history);

struct Tick {
  Duration at{0};
  std::string label;
};
std::vector<Tick> ticks(Duration end);

// Of lanes: one group "m<i>" for each machine, behind them bands while faults are in force; of series: an
// area whose height is 1. x is in milliseconds everywhere.
std::string lane_shapes(const History& history, const std::vector<Lane>& lanes);
struct Area {
  std::string shape;
  double most = 0;  // what its height stands for
};
Area rate_area(const Series& counter);                 // what it grows by in a second
Area level_area(const Series& level, Duration until);  // it stays what it was last
// The faults that get a line of their own, by that line; the rest has only bands.
inline constexpr std::size_t kFaultRows = 8;
std::vector<std::vector<const FaultSpan*>> fault_rows(const History& history);

std::string style_of_stages();  // CSS: fill of the classes s0 … s7, by stage

// A standalone picture with this heading.
std::string to_svg(const History& history, std::string_view title, std::string_view subtitle);

}  // namespace rookery::vboot
