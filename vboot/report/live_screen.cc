#include "vboot/report/live_screen.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "vboot/report/picture.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kHead = 5, kFoot = 1;  // rows above and below the grid
constexpr std::size_t kFailuresLeast = 3;    // rows kept for failures below it
constexpr std::size_t kMessagesMost = 3;

std::string spaces(std::size_t count) {
  return std::string(count, ' ');
}

// Cut or filled to a width; of text that is all ASCII.
std::string fitted(std::string_view text, std::size_t width) {
  return text.size() > width ? std::string(text.substr(0, width))
                             : std::string(text) + spaces(width - text.size());
}

// Text in lines of at most so many characters, broken at blanks where there are any; all of it.
std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines(1);
  std::size_t used = 0;
  const auto characters = [](std::string_view word) {
    return static_cast<std::size_t>(
        std::count_if(word.begin(), word.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  };
  while (!text.empty()) {
    std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    for (; characters(word) > width; word.remove_prefix(width)) {  // no words of ours: ASCII, as paths are
      lines.emplace_back(word.substr(0, width));
      used = width;
    }
    const std::size_t length = characters(word);
    if (used > 0 && used + 1 + length > width) {
      lines.emplace_back();
      used = 0;
    }
    if (used > 0) lines.back() += ' ';
    lines.back() += word;
    used += (used > 0 ? 1 : 0) + length;
  }
  if (lines.size() > 1 && lines.front().empty()) lines.erase(lines.begin());
  return lines;
}

// One bar for all clients, its parts as long as so many of them are in a stage.
ScreenRow bar(const History& history, std::size_t width) {
  ScreenRow row{{" ", Paint::plain, std::nullopt, false}};
  const std::size_t all = std::max<std::size_t>(history.clients(), 1);
  std::size_t seen = 0, drawn = 0;
  for (const Stage stage : {Stage::failed, Stage::ready, Stage::root, Stage::kernel, Stage::script,
                            Stage::dhcp, Stage::firmware, Stage::off}) {
    const std::size_t here = history.count(stage);
    seen += here;
    // A single machine that failed is seen, however many there are.
    const std::size_t to = std::max(seen * width / all, drawn + (stage == Stage::failed && here > 0 ? 1 : 0));
    if (to > drawn) row.push_back({spaces(to - drawn), Paint::plain, stage, false});
    drawn = to;
  }
  return row;
}

ScreenRow legend(const History& history) {
  ScreenRow row{{" ", Paint::plain, std::nullopt, false}};
  for (const Stage stage : kStages) {
    const std::size_t count = history.count(stage);
    if (stage == Stage::failed && count == 0) continue;
    row.push_back({std::string(1, look_of(stage).letter), Paint::plain, stage, false});
    row.push_back(
        {fmt::format(" {} ", to_string(stage)), count > 0 ? Paint::plain : Paint::soft, std::nullopt, false});
    row.push_back({count > 0 ? fmt::format("{}  ", count) : " ", Paint::strong, std::nullopt, false});
  }
  return row;
}

void head(const LiveInput& input, std::size_t columns, Screen& screen) {
  const History& history = input.history;
  const std::string time = fmt::format("{:.1f} s ", seconds(input.now));
  const std::string title =
      fitted(fmt::format(" rookery  {}, {} machines", input.title, input.history.machines().size()),
             columns - std::min(columns, time.size() + 1));
  screen.push_back(
      {{title, Paint::strong, std::nullopt, false}, {" " + time, Paint::strong, std::nullopt, false}});
  screen.push_back(bar(history, columns - 2));
  const std::size_t ready = history.count(Stage::ready), failed = history.count(Stage::failed);
  ScreenRow state{{fmt::format(" {} of {} ready", ready, history.clients()),
                   ready == history.clients() ? Paint::good : Paint::strong, std::nullopt, false}};
  if (failed > 0) state.push_back({fmt::format("  {} failed", failed), Paint::bad, std::nullopt, false});
  if (const auto left = history.time_left(input.now))
    state.push_back(
        {fmt::format("  ~{:.0f} s left", std::max(1.0, seconds(*left))), Paint::plain, std::nullopt, false});
  const auto stopped = std::count(input.stopped.begin(), input.stopped.end(), true);
  if (stopped > 0)
    state.push_back({fmt::format("  {} stopped by faults", stopped), Paint::bad, std::nullopt, false});
  constexpr Duration kLately = std::chrono::seconds(1);
  std::size_t used = 0;
  for (const Span& span : state) used += span.text.size();
  // The most telling first; a figure for which there is no room is left out.
  for (std::string figure :
       {fmt::format("  {:.1f} MB/s", history.bytes().rate(kLately) / 1e6),
        fmt::format("  {:.0f} MB sent", static_cast<double>(history.bytes().last()) / 1e6),
        fmt::format("  {:.0f} MiB", static_cast<double>(history.memory().last()) / 1048576),
        fmt::format("  {:.0f} frames/s", history.frames().rate(kLately))}) {
    if ((used += figure.size()) > columns) break;
    state.push_back({std::move(figure), Paint::soft, std::nullopt, false});
  }
  screen.push_back(std::move(state));
  screen.push_back(legend(history));
  screen.emplace_back();
}

// Of several machines in one cell the one that most needs a look.
std::size_t foremost(const LiveInput& input, std::size_t first, std::size_t count) {
  const History& history = input.history;
  const auto rank = [&](std::size_t i) {
    const Stage stage = history.machines()[i].stage();
    return stage == Stage::failed ? -2 : input.is_stopped(i) ? -1 : static_cast<int>(stage);
  };
  std::size_t best = first;
  for (std::size_t i = first; i < std::min(first + count, history.machines().size()); ++i) {
    if (rank(i) < rank(best)) best = i;
  }
  return best;
}

void grid_rows(const LiveInput& input, const ViewState& view, std::size_t longest, Screen& screen) {
  const Grid& grid = view.grid;
  const auto& machines = input.history.machines();
  const std::size_t cells = (machines.size() + grid.per_cell - 1) / grid.per_cell;
  for (std::size_t begin = 0; begin < cells; begin += grid.across) {
    ScreenRow row;
    if (grid.kind == Grid::Kind::dots) {
      row.push_back({" " + fitted(machines[begin * grid.per_cell].name, longest) + " ", Paint::soft,
                     std::nullopt, false});
    } else {
      row.push_back({" ", Paint::plain, std::nullopt, false});
    }
    for (std::size_t cell = begin; cell < std::min(begin + grid.across, cells); ++cell) {
      const std::size_t first = cell * grid.per_cell;
      const std::size_t index = foremost(input, first, grid.per_cell);
      const MachineHistory& machine = machines[index];
      const Stage stage = machine.stage();
      const bool chosen = view.chosen && *view.chosen / grid.per_cell == cell;
      // What a fault has stopped is not shown in the colour of its stage: it is not what it seems.
      const bool stopped = stage != Stage::failed && input.is_stopped(index);
      const Paint paint = stopped ? Paint::bad : Paint::plain;
      const std::optional<Stage> colour = stopped ? std::nullopt : std::optional(stage);
      if (grid.kind == Grid::Kind::dots) {
        const char letter = stopped ? '#' : stage == Stage::ready ? ' ' : look_of(stage).letter;
        row.push_back({std::string(1, chosen ? 'X' : letter), paint, colour, chosen});
        continue;
      }
      std::string text = (stopped ? "#" : " ") + fitted(machine.name, longest);
      if (grid.kind == Grid::Kind::full)
        text +=
            fmt::format(" {:<{}} {:>6.1f} s", input.stage_in_words(index), grid.width - longest - 12,
                        stage == Stage::off
                            ? 0.0
                            : seconds(stage == Stage::ready ? machine.since() : input.now - machine.since()));
      row.push_back({fitted(text, grid.width - 1), paint, colour, chosen});
      row.push_back({" ", Paint::plain, std::nullopt, false});
    }
    screen.push_back(std::move(row));
  }
}

void inside_rows(const LiveInput& input, const ViewState& view, std::size_t columns, std::size_t room,
                 Screen& screen) {
  const MachineHistory& machine = input.history.machines()[*view.chosen];
  const std::size_t end = screen.size() + room;
  screen.push_back({{fmt::format(" {}", machine.name), Paint::strong, std::nullopt, false},
                    {fmt::format("  {}", roles_in_words(machine.roles)), Paint::soft, std::nullopt, false}});
  const std::size_t skip = machine.stages.size() > 8 ? machine.stages.size() - 8 : 0;
  for (std::size_t i = skip; i < machine.stages.size() && screen.size() < end; ++i) {
    const StageChange& change = machine.stages[i];
    const Duration until = i + 1 < machine.stages.size() ? machine.stages[i + 1].at : input.now;
    screen.push_back(
        {{"  ", Paint::plain, std::nullopt, false},
         {"  ", Paint::plain, change.stage, false},
         {fmt::format(" {:<9} at {:8.3f} s", to_string(change.stage), seconds(change.at)), Paint::plain,
          std::nullopt, false},
         {fmt::format("  for {:.3f} s", seconds(until - change.at)), Paint::soft, std::nullopt, false}});
  }
  if (*view.chosen < input.in_the_way.size() && !input.in_the_way[*view.chosen].empty())
    screen.push_back({{fmt::format("  in its way: {}", fmt::join(input.in_the_way[*view.chosen], ", ")),
                       input.is_stopped(*view.chosen) ? Paint::bad : Paint::plain, std::nullopt, false}});
  if (!machine.reason.empty() && machine.stage() == Stage::failed) {
    for (std::string& line : wrapped(printable(machine.reason), columns - 3))
      screen.push_back({{"  " + std::move(line), Paint::bad, std::nullopt, false}});
  }
  screen.push_back({{" its console", Paint::soft, std::nullopt, false}});
  const std::size_t lines = screen.size() < end ? std::min(end - screen.size(), input.console.size()) : 0;
  for (std::size_t i = input.console.size() - lines; i < input.console.size(); ++i)
    screen.push_back({{"  " + printable(input.console[i]), Paint::plain, std::nullopt, false}});
}

// What failed, the newest first, each with all of its reason while there is room; while nothing has, what was
// said last.
void foot(const LiveInput& input, std::size_t columns, std::size_t most, Screen& screen) {
  std::vector<const MachineHistory*> failed;
  for (const MachineHistory& machine : input.history.machines()) {
    if (machine.stage() == Stage::failed) failed.push_back(&machine);
  }
  std::stable_sort(failed.begin(), failed.end(),
                   [](const auto* a, const auto* b) { return a->since() > b->since(); });
  const std::size_t end = screen.size() + most;
  for (std::size_t i = 0; i < failed.size(); ++i) {
    const std::string who =
        fmt::format(" {} failed in {}: ", failed[i]->name, to_string(failed[i]->failed_in));
    std::vector<std::string> lines = wrapped(who.substr(1) + printable(failed[i]->reason), columns - 4);
    const bool is_last = i + 1 == failed.size();
    // The first has its lines in any case; another one only if it is told whole.
    if (i > 0 && screen.size() + lines.size() + (is_last ? 0 : 1) > end) {
      screen.push_back({{fmt::format(" and {} more failed; f looks into the next", failed.size() - i),
                         Paint::bad, std::nullopt, false}});
      return;
    }
    const std::size_t rows = end - screen.size() - (is_last || end - screen.size() == 1 ? 0 : 1);
    // What it says itself comes first, and what is the matter around it last.
    std::string reason = printable(failed[i]->reason);
    for (std::size_t part; lines.size() > rows && (part = reason.find("; ")) != std::string::npos;) {
      reason.erase(0, part + 2);
      lines = wrapped(who.substr(1) + "… " + reason, columns - 4);
    }
    lines.resize(std::min(lines.size(), rows));
    const std::size_t bad = std::min(who.size() - 1, lines.front().size());
    screen.push_back({{" " + lines.front().substr(0, bad), Paint::bad, std::nullopt, false},
                      {lines.front().substr(bad), Paint::plain, std::nullopt, false}});
    for (std::size_t line = 1; line < lines.size(); ++line)
      screen.push_back({{"   " + lines[line], Paint::plain, std::nullopt, false}});
    if (screen.size() == end) return;
  }
  if (!failed.empty()) return;
  const std::size_t said = std::min(std::min(most, kMessagesMost), input.messages.size());
  for (std::size_t i = input.messages.size() - said; i < input.messages.size(); ++i)
    screen.push_back({{" " + printable(input.messages[i]), Paint::soft, std::nullopt, false}});
}

}  // namespace

std::string LiveInput::stage_in_words(std::size_t machine) const {
  std::string words(to_string(history.machines()[machine].stage()));
  if (machine >= in_the_way.size() || in_the_way[machine].empty()) return words;
  return fmt::format("{}, {}", words, fmt::join(in_the_way[machine], ", "));
}

Grid grid_for(std::size_t machines, std::size_t longest_name, std::size_t columns, std::size_t rows,
              std::size_t longest_stage) {
  const auto fits = [&](const Grid& grid) {
    return (machines + grid.across * grid.per_cell - 1) / (grid.across * grid.per_cell) <= rows;
  };
  const auto of_width = [&](Grid::Kind kind, std::size_t width) {
    return Grid{kind, width, std::max<std::size_t>(1, (columns - std::min<std::size_t>(columns, 1)) / width),
                1};
  };
  for (const Grid& grid : {of_width(Grid::Kind::full, longest_name + longest_stage + 12),
                           of_width(Grid::Kind::named, longest_name + 3)}) {
    if (fits(grid)) return grid;
  }
  const std::size_t room = columns > longest_name + 3 ? columns - longest_name - 3 : 1;
  Grid dots{Grid::Kind::dots, 1, room < 10 ? room : room / 10 * 10, 1};
  if (!fits(dots)) dots.across = room;
  while (!fits(dots)) ++dots.per_cell;
  return dots;
}

void ViewState::press(ViewKey key, const History& history) {
  const std::size_t count = history.machines().size();
  if (count == 0) return;
  const std::size_t at = chosen.value_or(0), step = grid.per_cell, row = grid.across * grid.per_cell;
  const auto back_by = [&](std::size_t by) { return at >= by ? at - by : at; };
  const auto on_by = [&](std::size_t by) { return at + by < count ? at + by : at; };
  switch (key) {
    case ViewKey::left:
      chosen = back_by(inside ? 1 : step);
      break;
    case ViewKey::right:
      chosen = chosen ? on_by(inside ? 1 : step) : 0;
      break;
    case ViewKey::up:
      chosen = back_by(inside ? 1 : row);
      break;
    case ViewKey::down:
      chosen = chosen ? on_by(inside ? 1 : row) : 0;
      break;
    case ViewKey::first:
      chosen = 0;
      break;
    case ViewKey::last:
      chosen = count - 1;
      break;
    case ViewKey::into:
      chosen = inside ? at : foremost({history, {}, {}, {}, {}}, at / step * step, step);
      inside = true;
      break;
    case ViewKey::back:
      if (!inside) chosen.reset();
      inside = false;
      break;
    case ViewKey::next_failed:
      for (std::size_t i = 1; i <= count; ++i) {
        const std::size_t next = (at + i) % count;
        if (history.machines()[next].stage() != Stage::failed) continue;
        chosen = next;
        inside = true;
        break;
      }
      break;
  }
}

Screen compose(const LiveInput& input, ViewState& view, std::size_t columns, std::size_t rows) {
  Screen screen;
  columns = std::max<std::size_t>(columns, 20);
  head(input, columns, screen);
  std::size_t longest = 1;
  for (const MachineHistory& machine : input.history.machines())
    longest = std::max(longest, machine.name.size());
  std::size_t longest_stage = 8;
  for (std::size_t i = 0; i < input.in_the_way.size() && i < input.history.machines().size(); ++i)
    longest_stage = std::max(longest_stage, input.stage_in_words(i).size());
  const std::size_t room = rows > kHead + kFoot + 1 ? rows - kHead - kFoot : 1;
  // Failures get their rows, unless a cell for each machine is then out of reach.
  const std::size_t below = room > 8 ? kFailuresLeast : 1;
  const auto grid_above = [&](std::size_t rows_below) {
    return grid_for(input.history.machines().size(), longest, columns,
                    room > rows_below + 1 ? room - rows_below - 1 : 1, longest_stage);
  };
  view.grid = grid_above(below);
  if (view.grid.per_cell > 1) view.grid = grid_above(1);
  if (view.inside && view.chosen) {
    inside_rows(input, view, columns, room, screen);
  } else {
    grid_rows(input, view, longest, screen);
    screen.emplace_back();
    if (rows > screen.size() + kFoot) foot(input, columns, rows - screen.size() - kFoot, screen);
  }
  screen.resize(rows > 0 ? rows - 1 : 0);
  std::string keys = view.inside
                         ? " ←→ others   Esc: back   f: next that failed   q: leave the view"
                         : " arrows, Enter: look into one   f: next that failed   q: leave   Ctrl-C: down";
  if (view.grid.per_cell > 1 && !view.inside)
    keys = fmt::format(" each cell is {} machines  {}", view.grid.per_cell, keys);
  screen.push_back({{keys, Paint::soft, std::nullopt, false}});
  return screen;
}

}  // namespace rookery::vboot
