#include "vboot/report/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "base/json/json.h"

namespace rookery::vboot {
namespace {

constexpr std::array<StageLook, 8> kLooks{{
    {Stage::off, "#e4e7eb", 238, 0, '.'},
    {Stage::firmware, "#44337a", 61, 5, 'f'},
    {Stage::dhcp, "#2b6cb0", 32, 4, 'd'},
    {Stage::script, "#38b2e0", 80, 6, 's'},
    {Stage::kernel, "#e0a100", 178, 3, 'k'},
    {Stage::root, "#f3d46b", 222, 7, 'r'},
    {Stage::ready, "#8fcfae", 71, 2, '#'},
    {Stage::failed, "#c8321f", 160, 1, '!'},
}};

double milliseconds(Duration time) {
  return seconds(time) * 1000;
}

// Without zeros that say nothing.
std::string number(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

// The length of the UTF-8 sequence that begins here, or 0: for a byte that begins none, and for characters
// that control rather than say something.
std::size_t character(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : (first == '\n' || first == '\t' ? 1 : 0);
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (text.size() < length || !is_utf8(text.substr(0, length))) return 0;
  const std::string_view all = text.substr(0, length);
  if (first == 0xc2 && static_cast<unsigned char>(all[1]) < 0xa0) return 0;  // C1 controls
  // U+200E…F, U+202A…E, U+2066…9: Unicode's Bidi_Control.
  const bool directs = all == "\u200e" || all == "\u200f" || (all >= "\u202a" && all <= "\u202e") ||
                       (all >= "\u2066" && all <= "\u2069");
  return directs ? 0 : length;
}

double lane_height(std::size_t lanes) {
  constexpr double kAll = 560, kMost = 18, kLeast = 1;
  return std::clamp(std::floor(kAll / static_cast<double>(std::max<std::size_t>(lanes, 1))), kLeast, kMost);
}

}  // namespace

const StageLook& look_of(Stage stage) {
  return kLooks[static_cast<std::size_t>(stage)];
}

namespace {

// What is left out, and all that continues it, has one mark.
template <typename Add>
void each_character(std::string_view text, Add add) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character(text.substr(at));
    add(length == 0 ? std::string_view("\ufffd") : text.substr(at, length));
    at += std::max<std::size_t>(length, 1);
    while (length == 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
  }
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string safe;
  each_character(text, [&](std::string_view one) {
    safe += one == "&"    ? "&amp;"
            : one == "<"  ? "&lt;"
            : one == ">"  ? "&gt;"
            : one == "\"" ? "&quot;"
            : one == "'"  ? "&#39;"
                          : one;
  });
  return safe;
}

std::string printable(std::string_view text) {
  std::string safe;
  each_character(text, [&](std::string_view one) { safe += one == "\n" || one == "\t" ? " " : one; });
  return safe;
}

std::vector<Lane> lay_out(const History& history) {
  constexpr std::size_t kFailedInFull = 30;
  const auto& machines = history.machines();
  std::vector<Lane> lanes;
  for (std::size_t i = 0; i < machines.size(); ++i) lanes.push_back({i, 0, lane_height(machines.size())});
  const auto rank = [&](const Lane& lane) {
    const MachineHistory& machine = machines[lane.machine];
    return !machine.is_client() ? 0 : machine.stage() == Stage::failed ? 1 : 2;
  };
  std::stable_sort(lanes.begin(), lanes.end(),
                   [&](const Lane& a, const Lane& b) { return rank(a) < rank(b); });
  double y = 0;
  std::size_t failed = 0;
  for (Lane& lane : lanes) {
    const bool in_full = rank(lane) == 0 || (rank(lane) == 1 && ++failed <= kFailedInFull);
    if (in_full) lane.height = std::max(lane.height, kNamedLane + 1);
    lane.y = y;
    y += lane.height;
  }
  return lanes;
}

double height_of(const std::vector<Lane>& lanes) {
  return lanes.empty() ? 0 : lanes.back().y + lanes.back().height;
}

Duration shown_end(const History& history) {
  Duration last = std::chrono::milliseconds(1);
  for (const MachineHistory& machine : history.machines()) last = std::max(last, machine.since());
  for (const FaultSpan& fault : history.faults()) {
    last = std::max(last, fault.ended.value_or(fault.began));
  }
  for (const StepMark& step : history.steps()) last = std::max(last, step.at);
  return last + last / 20;
}

std::vector<Tick> ticks(Duration end) {
  constexpr double kMost = 12;
  const double all = seconds(end);
  double step = std::pow(10, std::floor(std::log10(std::max(all / kMost, 1e-6))));
  for (const double factor : {2.0, 2.5, 2.0}) {  // 1, 2, 5, 10
    if (all / step > kMost) step *= factor;
  }
  const int digits = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  std::vector<Tick> list;
  for (int i = 0; i * step <= all * (1 + 1e-9); ++i) {
    list.push_back({std::chrono::duration_cast<Duration>(std::chrono::duration<double>(i * step)),
                    fmt::format("{:.{}f} s", i * step, digits)});
  }
  return list;
}

namespace {

// Behind the lanes a colour, before them only where it begins and ends: what machines do stays to be seen.
struct Bands {
  std::string behind, before;
};
Bands bands(const History& history, double height) {
  Bands shapes;
  for (const FaultSpan& fault : history.faults()) {
    const double from = milliseconds(fault.began);
    const double to = milliseconds(fault.ended.value_or(std::max(history.end(), fault.began)));
    shapes.behind += fmt::format("<rect class=\"band\" x=\"{}\" width=\"{}\" height=\"{}\"/>", number(from),
                                 number(to - from), number(height));
    shapes.before += fmt::format("<path class=\"edge\" d=\"M{} 0V{}\"/>", number(from), number(height));
    shapes.before += fmt::format("<path class=\"edge\" d=\"M{} 0V{}\"/>", number(to), number(height));
  }
  return shapes;
}

}  // namespace

std::string lane_shapes(const History& history, const std::vector<Lane>& lanes) {
  const Bands faults = bands(history, height_of(lanes));
  std::string shapes = faults.behind;
  const double end = milliseconds(std::max(shown_end(history), history.end()));
  for (const Lane& lane : lanes) {
    const MachineHistory& machine = history.machines()[lane.machine];
    // Between lanes with room there is a gap.
    const double thickness = lane.height >= 4 ? 1 - 1 / lane.height : 1;
    shapes += fmt::format("<g id=\"m{}\" transform=\"translate(0 {}) scale(1 {})\">", lane.machine,
                          number(lane.y), number(lane.height));
    for (std::size_t i = 0; i < machine.stages.size(); ++i) {
      const StageChange& change = machine.stages[i];
      const double from = milliseconds(change.at);
      const double to = i + 1 < machine.stages.size() ? milliseconds(machine.stages[i + 1].at) : end;
      if (change.stage == Stage::off || to <= from) continue;
      shapes +=
          fmt::format("<rect class=\"s{}\" x=\"{}\" width=\"{}\" height=\"{}\"/>",
                      static_cast<int>(change.stage), number(from), number(to - from), number(thickness));
    }
    shapes += "</g>";
  }
  return shapes + faults.before;
}

namespace {

// Flat from each point to the next.
Area area(const std::vector<Series::Point>& points, const std::vector<double>& values) {
  Area result;
  result.most = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  if (result.most <= 0) return result;
  result.shape = fmt::format("<path class=\"area\" d=\"M{} 1", number(milliseconds(points.front().at)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    result.shape += fmt::format("V{:.4f}H{}", 1 - values[i] / result.most,
                                number(milliseconds(points[std::min(i + 1, points.size() - 1)].at)));
  }
  result.shape += "V1Z\"/>";
  return result;
}

}  // namespace

Area rate_area(const Series& counter) {
  const auto points = counter.points();
  std::vector<double> values;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    const double elapsed = seconds(points[i + 1].at - points[i].at);
    values.push_back(elapsed > 0 ? static_cast<double>(points[i + 1].value - points[i].value) / elapsed : 0);
  }
  return area(points, values);
}

Area level_area(const Series& level, Duration until) {
  auto points = level.points();
  if (!points.empty()) points.push_back({std::max(until, points.back().at), points.back().value});
  std::vector<double> values;
  for (const auto& point : points) values.push_back(static_cast<double>(point.value));
  return area(points, values);
}

std::vector<std::vector<const FaultSpan*>> fault_rows(const History& history) {
  std::vector<std::vector<const FaultSpan*>> rows;
  for (const FaultSpan& fault : history.faults()) {
    auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& placed) {
      return placed.back()->ended && *placed.back()->ended <= fault.began;
    });
    if (row == rows.end()) {
      if (rows.size() == kFaultRows) continue;
      row = rows.emplace(rows.end());
    }
    row->push_back(&fault);
  }
  return rows;
}

std::string style_of_stages() {
  std::string style;
  for (const StageLook& look : kLooks) {
    style +=
        fmt::format(".s{}{{fill:{};background:{}}}", static_cast<int>(look.stage), look.colour, look.colour);
  }
  return style;
}

namespace {

constexpr double kWidth = 1120, kGutter = 84, kRight = 20, kChart = 54;
constexpr double kPlot = kWidth - kGutter - kRight;

// A place for shapes whose x is in milliseconds, stretched to the plot's width.
std::string plot(double y, double height, Duration end, double units, std::string_view shapes) {
  return fmt::format(
      "<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" "
      "preserveAspectRatio=\"none\">{}</svg>",
      number(kGutter), number(y), number(kPlot), number(height), number(milliseconds(end)), number(units),
      shapes);
}

std::string text(double x, double y, std::string_view cls, std::string_view words) {
  return fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\">{}</text>", number(x), number(y), cls,
                     escaped(words));
}

// At each lane with room its name, and of thin lanes now and then one.
std::string names(const History& history, const std::vector<Lane>& lanes, double top) {
  std::string texts;
  double free_from = 0;
  for (const Lane& lane : lanes) {
    const bool roomy = lane.height >= kNamedLane;
    if (lane.y < free_from + (roomy ? 0 : 8)) continue;
    const MachineHistory& machine = history.machines()[lane.machine];
    texts += text(kGutter - 8, top + lane.y + (roomy ? lane.height / 2 : 0) + 4,
                  machine.stage() == Stage::failed ? "name bad" : "name", machine.name);
    free_from = lane.y + (roomy ? kNamedLane : 28);
  }
  return texts;
}

std::string legend(const History& history, double y) {
  std::string shapes;
  double x = kGutter;
  for (const Stage stage : kStages) {
    const std::size_t failed = history.count(Stage::failed);
    if (stage == Stage::off || (stage == Stage::failed && failed == 0)) continue;
    shapes += fmt::format("<rect class=\"s{}\" x=\"{}\" y=\"{}\" width=\"14\" height=\"10\" rx=\"2\"/>",
                          static_cast<int>(stage), number(x), number(y - 9));
    shapes += text(x + 20, y, "legend", to_string(stage));
    x += 36 + 7.2 * static_cast<double>(to_string(stage).size());
  }
  return shapes;
}

std::string chart(const Area& data, std::string_view what, const std::string& most, double y, Duration end) {
  std::string shapes = fmt::format("<path class=\"axis\" d=\"M{} {}H{}\"/>", number(kGutter),
                                   number(y + kChart), number(kWidth - kRight));
  shapes += plot(y, kChart, end, 1, data.shape);
  shapes += text(kGutter - 8, y + 10, "name", most);
  return shapes + text(kGutter, y - 6, "legend", what);
}

constexpr std::string_view kStyle =
    "text{fill:#1f2328;font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}"
    ".title{font-size:19px;font-weight:650}.sub,.tick,.name,.legend{fill:#57606a}"
    ".name{text-anchor:end;font-size:11px}.tick{text-anchor:middle;font-size:11px}.bad{fill:#c8321f;font-"
    "weight:600}"
    ".back{fill:#fff}.grid{stroke:#8b949e;stroke-opacity:.28}.axis{stroke:#8b949e;stroke-opacity:.6;fill:"
    "none}"
    ".lanes{fill:#8b949e;fill-opacity:.08}.area{fill:#5b7fb5;fill-opacity:.75}"
    ".band{fill:#c8321f;fill-opacity:.13}.edge{stroke:#c8321f;fill:none;stroke-opacity:.6;vector-effect:non-"
    "scaling-stroke}"
    ".fault{fill:#c8321f;fill-opacity:.85}"
    "rect{shape-rendering:crispEdges}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.sub,.tick,.name,.legend{fill:#9da7b1}.back{fill:#"
    "0d1117}"
    ".bad{fill:#ff7b6b}}";

}  // namespace

std::string to_svg(const History& history, std::string_view title, std::string_view subtitle) {
  const auto lanes = lay_out(history);
  const auto rows = fault_rows(history);
  const Duration end = shown_end(history);
  double y = 92;
  std::string body =
      text(kGutter, 30, "title", title) + text(kGutter, 50, "sub", subtitle) + legend(history, 76);
  for (const auto& row : rows) {
    std::string bars;
    for (const FaultSpan* fault : row) {
      const double from = milliseconds(fault->began), to = milliseconds(fault->ended.value_or(end));
      bars += fmt::format("<rect class=\"fault\" x=\"{}\" width=\"{}\" height=\"1\"/>", number(from),
                          number(std::max(to - from, milliseconds(end) / 400)));
      const double x = kGutter + kPlot * from / milliseconds(end);
      body += text(x, y + 10, "legend", fault->name);
    }
    body += plot(y + 13, 4, end, 1, bars);
    y += 20;
  }
  if (!rows.empty()) body += text(kGutter - 8, y - 8, "name", "faults");
  const double height = height_of(lanes), bottom = y + height + 44 + 2 * (kChart + 28);
  body += fmt::format("<rect class=\"lanes\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>", number(kGutter),
                      number(y), number(kPlot), number(height));
  body += plot(y, height, end, height, lane_shapes(history, lanes));
  body += names(history, lanes, y);
  std::string grid;
  for (const Tick& tick : ticks(end)) {
    const double x = kGutter + kPlot * (milliseconds(tick.at) / milliseconds(end));
    grid += fmt::format("M{} {}V{}", number(x), number(y), number(bottom - 28));
    body += text(x, y + height + 17, "tick", tick.label);
  }
  body += fmt::format("<path class=\"grid\" d=\"{}\"/>", grid);
  y += height + 44;
  const Area traffic = rate_area(history.bytes()), memory = level_area(history.memory(), end);
  body += chart(traffic, "the boot server sends", fmt::format("{:.0f} MB/s", traffic.most / 1e6), y, end);
  y += kChart + 28;
  body += chart(memory, "memory of all guests", fmt::format("{:.0f} MiB", memory.most / 1048576), y, end);
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "role=\"img\"><title>{2}</title><style>{3}{4}</style>"
      "<rect class=\"back\" width=\"{0}\" height=\"{1}\"/>{5}</svg>\n",
      number(kWidth), number(y + kChart + 12), escaped(title), kStyle, style_of_stages(), body);
}

}  // namespace rookery::vboot
