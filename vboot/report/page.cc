#include "vboot/report/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "vboot/report/page_parts.h"
#include "vboot/report/picture.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kNamesShown = 24;  // of the machines that failed in one way; the others fold away

JsonView list_of(JsonView object, std::string_view key) {
  return object.find(key).value_or(JsonView());
}

double milliseconds(Duration time) {
  return seconds(time) * 1000;
}

bool went_well(JsonView report) {
  const std::string result = text_of(report, "result");
  return result.empty() ? list_of(report, "failed").size() == 0 : result == "pass";
}

std::string in_words(double seconds) {
  return seconds < 0.1 ? fmt::format("{:.1f} ms", seconds * 1000) : fmt::format("{:.2f} s", seconds);
}

std::string tile(std::string_view what, std::string_view value, std::string_view more) {
  return fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span><small>{}</small></div>", escaped(value),
                     escaped(what), escaped(more));
}

std::string tiles(const PageSource& source) {
  std::vector<std::pair<Duration, const MachineHistory*>> times;
  for (const MachineHistory& machine : source.history.machines()) {
    const auto time = machine.boot_time();
    if (machine.is_client() && time) times.push_back({*time, &machine});
  }
  std::sort(times.begin(), times.end());
  std::string text;
  const double until =
      number_of(source.report, source.report.find("seconds") ? "seconds" : "seconds_to_ready");
  text += tile("until all were up", in_words(until), "from the first power-on");
  if (!times.empty()) {
    const auto& [longest, who] = times.back();
    text += tile("boot of a client, median", in_words(seconds(times[times.size() / 2].first)),
                 fmt::format("longest {} ({})", in_words(seconds(longest)), who->name));
  }
  const double bytes = static_cast<double>(source.history.bytes().last());
  text += tile(
      "sent by the boot server", fmt::format("{:.0f} MB", bytes / 1e6),
      source.history.clients() == 0
          ? std::string()
          : fmt::format("{:.1f} MB a client", bytes / 1e6 / static_cast<double>(source.history.clients())));
  const double peak = number_of(source.report, "memory_peak_bytes");
  const double guests = static_cast<double>(source.history.memory().last());
  text += tile("of host memory", fmt::format("{:.0f} MiB", (peak > 0 ? peak : guests) / 1048576),
               peak > 0 ? "guests and supervisor, each shared page once" : "of all guests");
  text += tile("grade", text_of(source.report, "grade"), "what a repeated run has in common");
  return "<div class=\"tiles\">" + text + "</div>";
}

// Machines that failed in the same way are told of once.
std::string failures(const PageSource& source) {
  const JsonView failed = list_of(source.report, "failed");
  if (failed.size() == 0) return {};
  std::vector<std::pair<std::string, std::string>> ways;  // stage and reason, in the order of the first
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> who;
  for (std::size_t i = 0; i < failed.size(); ++i) {
    const std::pair way{text_of(failed.at(i), "stage"), text_of(failed.at(i), "reason")};
    auto& names = who[way];
    if (names.empty()) ways.push_back(way);
    names.push_back(text_of(failed.at(i), "name"));
  }
  std::string text = fmt::format("<section class=\"failures\"><h2>{} failed</h2>", failed.size());
  for (const auto& way : ways) {
    const auto& names = who[way];
    text += fmt::format(
        "<div class=\"failure\"><p><span class=\"in\"><i class=\"s{}\"></i>in the stage {}</span> {}</p><p>",
        static_cast<int>(Stage::failed), escaped(way.first), escaped(way.second));
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (i == kNamesShown) text += fmt::format("<details><summary>and {} more</summary>", names.size() - i);
      text += fmt::format("<button class=\"who\">{}</button> ", escaped(names[i]));
    }
    if (names.size() > kNamesShown) text += "</details>";
    text += "</p>";
    for (const auto& console : source.consoles) {
      if (console.machine != names.front() || console.lines.empty()) continue;
      text += fmt::format("<details><summary>the last words of {}</summary><pre>", escaped(console.machine));
      for (const std::string& line : console.lines) text += escaped(line) + "\n";
      text += "</pre></details>";
    }
    text += "</div>";
  }
  return text + "</section>";
}

std::string expectations(JsonView report) {
  const JsonView list = list_of(report, "expectations");
  if (list.size() == 0) return {};
  std::string text = "<section><h2>What was expected</h2><table>";
  // Those that did not come true first.
  for (const bool held : {false, true}) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      if ((text_of(list.at(i), "verdict") == "held") != held) continue;
      text += fmt::format("<tr class=\"{}\"><td>{}</td><td>{}</td><td>{}</td></tr>", held ? "good" : "bad",
                          held ? "✔ held" : "✘ failed", escaped(text_of(list.at(i), "expectation")),
                          escaped(text_of(list.at(i), "evidence")));
    }
  }
  return text + "</table></section>";
}

// What the script draws with, and what a program can read: times in milliseconds since the lab's start.
Json data(const PageSource& source, Duration end) {
  Json machines = Json::array();
  const auto lanes = lay_out(source.history);
  std::vector<std::size_t> place(lanes.size());
  for (std::size_t i = 0; i < lanes.size(); ++i) place[lanes[i].machine] = i;
  for (const MachineHistory& machine : source.history.machines()) {
    Json stages = Json::array();
    for (const StageChange& change : machine.stages) {
      stages.add(Json::object()
                     .set("at", Json::number(milliseconds(change.at)))
                     .set("stage", to_string(change.stage)));
    }
    Json entry = Json::object()
                     .set("name", machine.name)
                     .set("role", roles_in_words(machine.roles))
                     .set("stages", std::move(stages));
    const std::size_t i = machines.view().size();
    entry.set("place", Json::count(place[i]));
    entry.set("height", Json::number(lanes[place[i]].height));
    if (machine.left_out > 0) entry.set("stages_left_out", Json::integer(machine.left_out));
    if (machine.stage() == Stage::failed) entry.set("reason", machine.reason);
    machines.add(std::move(entry));
  }
  Json faults = Json::array();
  for (const FaultSpan& fault : source.history.faults()) {
    Json entry = Json::object().set("name", fault.name).set("text", fault.text);
    entry.set("from", Json::number(milliseconds(fault.began)));
    if (fault.ended) entry.set("to", Json::number(milliseconds(*fault.ended))).set("why", fault.why);
    faults.add(std::move(entry));
  }
  Json steps = Json::array();
  for (const StepMark& step : source.history.steps())
    steps.add(Json::object().set("at", Json::number(milliseconds(step.at))).set("text", step.text));
  Json stages = Json::array();
  for (const Stage stage : kStages)
    stages.add(Json::object()
                   .set("name", to_string(stage))
                   .set("class", fmt::format("s{}", static_cast<int>(stage))));
  return Json::object()
      .set("end", Json::number(milliseconds(end)))
      .set("whole", Json::number(milliseconds(std::max(end, source.history.end()))))
      .set("machines", std::move(machines))
      .set("faults", std::move(faults))
      .set("steps", std::move(steps))
      .set("stages", std::move(stages))
      .set("report", Json::copy_of(source.report));
}

// Inside a script element, where nothing may look like its end.
std::string in_script(const Json& value) {
  std::string text;
  for (const char byte : value.dump()) {
    if (byte == '<') {
      text += "\\u003c";
    } else {
      text += byte;
    }
  }
  return text;
}

std::string plot(std::string_view id, double height, double units, Duration end, std::string_view shapes) {
  return fmt::format(
      "<svg id=\"{}\" class=\"plot\" style=\"height:{:.0f}px\" viewBox=\"0 0 {:.2f} {:.2f}\" "
      "preserveAspectRatio=\"none\">"
      "{}</svg>",
      id, height, milliseconds(end), units, shapes);
}

std::string timeline(const PageSource& source, Duration end) {
  const History& history = source.history;
  const auto lanes = lay_out(history);
  std::string text =
      "<section id=\"timeline\"><h2>What happened when</h2><div class=\"tools\"><input id=\"filter\" "
      "type=\"search\" "
      "placeholder=\"machines: n3, n1*, failed, root…\" aria-label=\"which machines\"><label>sorted <select "
      "id=\"order\">"
      "<option value=\"place\">failed first</option><option value=\"plan\">as in the lab</option>"
      "<option value=\"slow\">slowest boot first</option></select></label>"
      "<button id=\"thick\">thicker lanes</button><button id=\"all\">all of it</button>"
      "<span class=\"hint\">drag to look closer, double click for all, click a lane for its "
      "times</span></div>"
      "<div class=\"legend\">";
  for (const Stage stage : kStages) {
    const std::size_t now = history.count(stage);
    if (stage == Stage::off && now == 0) continue;
    text += fmt::format("<span><i class=\"s{}\"></i>{}{}</span>", static_cast<int>(stage), to_string(stage),
                        now > 0 ? fmt::format(" <b>{}</b>", now) : "");
  }
  text += "</div><div id=\"picture\">";
  const auto rows = fault_rows(history);
  for (const auto& row : rows) {
    std::string bars, labels;
    for (const FaultSpan* fault : row) {
      const double from = milliseconds(fault->began),
                   to = milliseconds(fault->ended.value_or(std::max(end, history.end())));
      bars += fmt::format(
          "<rect class=\"fault\" x=\"{:.2f}\" width=\"{:.2f}\" height=\"1\"><title>{}</title></rect>", from,
          std::max(to - from, milliseconds(end) / 400), escaped(fault->text));
      labels += fmt::format("<span data-at=\"{:.2f}\">{}</span>", from, escaped(fault->text));
    }
    text += fmt::format(
        "<div class=\"side\">{}</div><div class=\"faults\"><div class=\"labels\">{}</div>{}</div>",
        &row == &rows.front() ? "faults" : "", labels,
        fmt::format("<svg class=\"plot\" style=\"height:5px\" viewBox=\"0 0 {:.2f} 1\" "
                    "preserveAspectRatio=\"none\">{}</svg>",
                    milliseconds(end), bars));
  }
  if (!history.steps().empty()) {
    std::string marks;
    for (const StepMark& step : history.steps())
      marks += fmt::format("<span data-at=\"{:.2f}\" title=\"{}\">▼</span>", milliseconds(step.at),
                           escaped(step.text));
    text += "<div class=\"side\">steps</div><div class=\"labels marks\">" + marks + "</div>";
  }
  const double height = height_of(lanes);
  text += "<div class=\"side\" id=\"names\"></div>" +
          plot("lanes", height, height, end, lane_shapes(history, lanes));
  text += "<div class=\"side\"></div><div id=\"axis\"></div>";
  const Area traffic = rate_area(history.bytes()), memory = level_area(history.memory(), end);
  text += fmt::format(
      "<div class=\"side most\">{:.0f} MB/s</div><div class=\"chart\"><span>the boot server "
      "sends</span>{}</div>",
      traffic.most / 1e6, plot("traffic", 64, 1, end, traffic.shape));
  text += fmt::format(
      "<div class=\"side most\">{:.0f} MiB</div><div class=\"chart\"><span>memory of all "
      "guests</span>{}</div>",
      memory.most / 1048576, plot("memory", 64, 1, end, memory.shape));
  return text +
         "</div><div id=\"one\"></div><noscript>Without its script this page shows the picture, and no names "
         "of "
         "thin lanes.</noscript></section>";
}

std::string again(const PageSource& source) {
  std::string text = "<section><h2>To do the same again</h2><pre class=\"command\">" +
                     escaped(source.command) + "</pre><table>";
  const auto row = [&](std::string_view key, std::string_view value) {
    if (!value.empty())
      text += fmt::format("<tr><th>{}</th><td><code>{}</code></td></tr>", escaped(key), escaped(value));
  };
  row("seed", std::to_string(count_of(source.report, "seed")));
  row("grade", text_of(source.report, "grade"));
  const JsonView lowered = list_of(source.report, "lowered_by");
  for (std::size_t i = 0; i < lowered.size(); ++i)
    row("no higher grade", lowered.at(i).as_string().value_or(""));
  row("digest of the run", text_of(source.report, "digest"));
  for (const auto& [key, value] : source.facts) row(key, value);
  text += "</table>";
  for (const auto& [name, content] : source.files)
    text +=
        fmt::format("<details><summary>{}</summary><pre>{}</pre></details>", escaped(name), escaped(content));
  return text + "</section>";
}

std::string title_of(JsonView report) {
  const std::string scenario = text_of(report, "scenario");
  return scenario.empty() ? text_of(report, "lab") : scenario;
}

}  // namespace

std::string headline(JsonView report) {
  std::string text =
      fmt::format("{} of {} clients ready", count_of(report, "ready"), count_of(report, "clients"));
  if (const std::size_t failed = list_of(report, "failed").size(); failed > 0)
    text += fmt::format(", {} failed", failed);
  const double until = number_of(report, report.find("seconds") ? "seconds" : "seconds_to_ready");
  if (until > 0) text += fmt::format(", in {:.2f} s", until);
  const JsonView expected = list_of(report, "expectations");
  std::size_t held = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    held += text_of(expected.at(i), "verdict") == "held" ? 1 : 0;
  if (expected.size() > 0) text += fmt::format("; {} of {} expectations held", held, expected.size());
  return text;
}

std::string to_html(const PageSource& source) {
  const Duration end = shown_end(source.history);
  const std::string title = escaped(title_of(source.report));
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'\"><meta name=\"viewport\" content=\"width=device-width\"><title>{} · "
      "Rookery</title>"
      "<style>{}{}</style></head><body><header><p class=\"kind\">Rookery · report of a run</p><h1>{}</h1>"
      "<p class=\"headline {}\">{}</p><p class=\"when\">{}</p></header>",
      title, kPageStyle, style_of_stages(), title, went_well(source.report) ? "good" : "bad",
      escaped(headline(source.report)), escaped(source.made_at));
  page +=
      failures(source) + tiles(source) + expectations(source.report) + timeline(source, end) + again(source);
  page +=
      "<script type=\"application/json\" id=\"run\">" + in_script(data(source, end)) + "</script><script>";
  return page.append(kPageScript).append("</script></body></html>\n");
}

Result<ReportKind> report_kind_of(std::string_view file) {
  if (file.ends_with(".html")) return ReportKind::page;
  if (file.ends_with(".svg")) return ReportKind::picture;
  return fail(ErrorKind::usage, fmt::format("--report writes FILE.html or FILE.svg, not '{}'", file));
}

std::string to_text(const PageSource& source, ReportKind kind) {
  if (kind == ReportKind::page) return to_html(source);
  return to_svg(source.history, headline(source.report), source.command);
}

}  // namespace rookery::vboot
