#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "vboot/lab/lab.h"
#include "vboot/report/live_screen.h"
#include "vboot/report/page.h"
#include "vboot/report/picture.h"

namespace rookery::vboot {
namespace {

using std::chrono::milliseconds;

History history_of(std::size_t clients) {
  const std::string lab = fmt::format(
      "lab: test\nmachines:\n  server: {{role: boot-server}}\n  n: {{role: client, count: {}}}\n", clients);
  return History(plan_lab(parse_lab(lab, "test.yaml").value(), {}).value());
}

// Boots machine i in so many milliseconds.
void boot(History& history, std::size_t i, milliseconds from, milliseconds each) {
  for (const Stage stage :
       {Stage::firmware, Stage::dhcp, Stage::script, Stage::kernel, Stage::root, Stage::ready}) {
    history.stage(i, from, stage);
    from += each;
  }
}

// Three clients: n1 ready, n2 failed with hostile words, n3 off. A fault, traffic, memory.
History small() {
  History history = history_of(3);
  boot(history, 0, milliseconds(0), milliseconds(20));
  boot(history, 1, milliseconds(100), milliseconds(50));
  history.stage(2, milliseconds(110), Stage::firmware);
  history.stage(2, milliseconds(150), Stage::dhcp);
  history.failure(2, milliseconds(900), Stage::dhcp, "no <b>OFFER</b> & \x1b[31m\xff\"</script>");
  history.fault_began(milliseconds(120), "n2.down", "n2 down for=500ms");
  history.fault_ended(milliseconds(620), "n2.down", "time");
  history.step(milliseconds(120), "fault n2 down");
  for (int i = 0; i < 10; ++i)
    history.sample(milliseconds(100 * i), static_cast<std::uint64_t>(i) * 1'000'000, 10, mebibytes(5));
  return history;
}

Json report_of(const History& history) {
  Json failed = Json::array();
  std::size_t clients = 0, ready = 0;
  for (const MachineHistory& machine : history.machines()) {
    clients += machine.is_client() ? 1 : 0;
    ready += machine.is_client() && machine.stage() == Stage::ready ? 1 : 0;
    if (machine.stage() != Stage::failed) continue;
    failed.add(Json::object()
                   .set("name", machine.name)
                   .set("stage", to_string(machine.failed_in))
                   .set("reason", machine.reason));
  }
  return Json::object()
      .set("lab", "test")
      .set("clients", Json::count(clients))
      .set("ready", Json::count(ready))
      .set("failed", std::move(failed))
      .set("seconds", Json::number(0.9))
      .set("seed", Json::integer(7))
      .set("grade", "none");
}

std::string page_of(const History& history) {
  const Json report = report_of(history);
  PageSource source{
      history, report, "rookery up <lab>.yaml", "", {{"host", "a & b"}}, {{"lab.yaml", "lab: <x>"}}, {}};
  source.consoles = {{"n2", {"<img src=x onerror=alert(1)>"}}};
  return to_html(source);
}

// What the page gives its script.
Json data_in(const std::string& page) {
  const std::string_view open = "<script type=\"application/json\" id=\"run\">";
  const std::size_t begin = page.find(open) + open.size();
  return Json::parse(std::string_view(page).substr(begin, page.find("</script>", begin) - begin)).value();
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string_view::npos; at += what.size()) ++found;
  return found;
}

std::string text_of(const Screen& screen) {
  std::string text;
  for (const ScreenRow& row : screen) {
    for (const Span& span : row) text += span.text;
    text += "\n";
  }
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(report)

BOOST_AUTO_TEST_CASE(a_physical_machine_has_a_row_and_is_waited_for_by_nobody) {
  History history = small();
  const std::size_t clients = history.clients();
  const std::size_t number = history.add_physical("02:11:22:33:44:55");
  history.stage(number, milliseconds(950), Stage::dhcp);
  BOOST_TEST(history.clients() == clients);
  BOOST_TEST(history.count(Stage::dhcp) == 0u);
  BOOST_TEST(history.machines()[number].name == "02:11:22:33:44:55");
  BOOST_TEST(lay_out(history).size() == history.machines().size());
}

BOOST_AUTO_TEST_CASE(a_series_of_any_length_keeps_its_ends_and_a_bounded_number_of_points) {
  Series series;
  for (std::uint64_t i = 0; i <= 1'000'000; ++i) series.put(milliseconds(i), 3 * i);
  const auto points = series.points();
  BOOST_TEST(points.size() <= Series::kPointsMost + 1);
  BOOST_TEST(points.size() > Series::kPointsMost / 3);
  BOOST_TEST(points.front().value == 0u);
  BOOST_TEST(points.back().value == 3'000'000u);
  BOOST_TEST(series.rate(std::chrono::seconds(60)) == 3000, boost::test_tools::tolerance(0.001));
}

BOOST_AUTO_TEST_CASE(a_machine_that_never_settles_costs_no_more_and_its_newest_stages_are_kept) {
  History history = history_of(1);
  for (int i = 0; i < 10'000; ++i)
    history.stage(1, milliseconds(i), i % 2 == 0 ? Stage::firmware : Stage::off);
  const MachineHistory& machine = history.machines()[1];
  BOOST_TEST(machine.stages.size() <= History::kStagesMost);
  BOOST_TEST(machine.stages.size() + machine.left_out == 10'000u);
  BOOST_TEST((machine.since() == milliseconds(9999)));
}

BOOST_AUTO_TEST_CASE(faults_steps_and_texts_are_bounded) {
  History history = history_of(1);
  const std::string text(100'000, 'x');
  for (std::size_t i = 0; i < 2 * History::kFaultsMost; ++i) {
    history.fault_began(milliseconds(i), "f", text);
    history.fault_ended(milliseconds(i), "f", "time");
    history.step(milliseconds(i), text);
  }
  history.failure(1, milliseconds(5), Stage::dhcp, text);
  BOOST_TEST(history.faults().size() == History::kFaultsMost);
  BOOST_TEST(history.steps().size() == History::kStepsMost);
  BOOST_TEST(history.left_out() == History::kFaultsMost + History::kStepsMost);
  BOOST_TEST(history.faults()[0].text.size() == History::kTextMost);
  BOOST_TEST(history.machines()[1].reason.size() == History::kTextMost);
}

BOOST_AUTO_TEST_CASE(a_second_boot_after_a_power_cut_is_timed_by_the_first_that_got_ready) {
  History history = history_of(1);
  history.stage(1, milliseconds(100), Stage::firmware);
  history.stage(1, milliseconds(200), Stage::off);
  BOOST_TEST(!history.machines()[1].boot_time().has_value());
  boot(history, 1, milliseconds(1000), milliseconds(10));
  BOOST_TEST((history.machines()[1].boot_time() == milliseconds(50)));
}

BOOST_AUTO_TEST_CASE(the_time_left_goes_by_how_fast_machines_came_lately) {
  History history = history_of(100);
  BOOST_TEST(!history.time_left(milliseconds(1)).has_value());
  for (std::size_t i = 1; i <= 50; ++i) history.stage(i, milliseconds(100 * i), Stage::ready);
  const auto left = history.time_left(milliseconds(5000));
  BOOST_REQUIRE(left.has_value());
  BOOST_TEST(seconds(*left) == 5.0, boost::test_tools::tolerance(0.05));
  for (std::size_t i = 51; i <= 100; ++i) history.stage(i, milliseconds(100 * i), Stage::ready);
  BOOST_TEST(!history.time_left(milliseconds(10'000)).has_value());
  // Nobody waits for what boots again.
  history.stage(7, milliseconds(11'000), Stage::off);
  BOOST_TEST(!history.time_left(milliseconds(12'000)).has_value());
}

BOOST_AUTO_TEST_CASE(hostile_text_becomes_neither_markup_nor_control) {
  BOOST_TEST(escaped("<a href='x'>&\"") == "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
  BOOST_TEST(escaped("ok\n\tü€😀") == "ok\n\tü€😀");
  BOOST_TEST(escaped("\x1b[31m") == "\ufffd[31m");
  BOOST_TEST(escaped(std::string_view("a\0b", 3)) == "a\ufffdb");
  BOOST_TEST(escaped("a\xff\xfe z") == "a\ufffd\ufffd z");
  BOOST_TEST(escaped("cut \xe2\x82") == "cut \ufffd");
  BOOST_TEST(escaped("\u202egnp.exe") == "\ufffdgnp.exe");  // right to left
  BOOST_TEST(escaped("\u009b31m") == "\ufffd31m");          // CSI in one character
  BOOST_TEST(printable("two\nlines") == "two lines");
}

BOOST_AUTO_TEST_CASE(the_page_has_every_machine_and_its_failures_come_first) {
  const History history = small();
  const std::string page = page_of(history);
  for (std::size_t i = 0; i < history.machines().size(); ++i)
    BOOST_TEST(count(page, fmt::format("<g id=\"m{}\"", i)) == 1u);
  const std::size_t failure =
      page.find("no &lt;b&gt;OFFER&lt;/b&gt; &amp; \ufffd[31m\ufffd&quot;&lt;/script&gt;");
  BOOST_TEST(failure < page.find("What happened when"));
  BOOST_TEST(page.find("1 of 3 clients ready, 1 failed, in 0.90 s") != std::string::npos);
  BOOST_TEST(page.find("rookery up &lt;lab&gt;.yaml") != std::string::npos);
  BOOST_TEST(page.find("lab: &lt;x&gt;") != std::string::npos);
  const Json data = data_in(page);
  const JsonView machines = *data.find("machines");
  BOOST_REQUIRE(machines.size() == 4u);
  BOOST_TEST(*machines.at(1).find("name")->as_string() == "n1");
  BOOST_TEST(machines.at(1).find("stages")->size() == 6u);
  BOOST_TEST(*machines.at(1).find("stages")->at(5).find("at")->as_number() == 350);
  BOOST_TEST(machines.at(3).find("stages")->size() == 0u);
  // The server, then what failed, then the others.
  BOOST_TEST(*machines.at(0).find("place")->as_integer() == 0);
  BOOST_TEST(*machines.at(2).find("place")->as_integer() == 1);
  BOOST_TEST(data.find("faults")->size() == 1u);
}

BOOST_AUTO_TEST_CASE(the_page_needs_no_network_and_nothing_of_a_machine_is_markup) {
  const std::string page = page_of(small());
  for (const std::string_view outside : {"http:", "https:", "src=\"", "href=", "url(", "@import"})
    BOOST_TEST(page.find(outside) == std::string::npos, outside);
  BOOST_TEST(page.find("default-src 'none'") != std::string::npos);
  BOOST_TEST(page.find("<img") == std::string::npos);
  BOOST_TEST(page.find("<b>OFFER") == std::string::npos);
  BOOST_TEST(count(page, "</script>") == 2u);
}

BOOST_AUTO_TEST_CASE(expectations_that_failed_stand_before_those_that_held) {
  const History history = small();
  Json expectations = Json::array();
  for (const auto& [what, verdict] : {std::pair{"all ready", "held"}, {"n2 ready", "failed"}}) {
    expectations.add(Json::object().set("expectation", what).set("verdict", verdict).set("evidence", "e"));
  }
  const Json report = report_of(history)
                          .set("result", "fail")
                          .set("scenario", "s")
                          .set("digest", "d1ge57")
                          .set("expectations", std::move(expectations));
  const std::string page = to_html({history, report, "rookery run s.yaml", "", {}, {}, {}});
  BOOST_TEST(page.find("n2 ready") < page.find("all ready"));
  BOOST_TEST(page.find("1 of 2 expectations held") != std::string::npos);
  BOOST_TEST(page.find("d1ge57") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_thousand_lanes_are_thin_and_those_that_failed_are_not) {
  History history = history_of(1000);
  boot(history, 0, milliseconds(0), milliseconds(10));
  for (std::size_t i = 1; i <= 1000; ++i) boot(history, i, milliseconds(10 * i), milliseconds(100));
  history.failure(700, milliseconds(20'000), Stage::root, "why");
  const auto lanes = lay_out(history);
  BOOST_TEST(lanes.size() == 1001u);
  BOOST_TEST(lanes[0].machine == 0u);
  BOOST_TEST(lanes[1].machine == 700u);
  BOOST_TEST(lanes[1].height >= kNamedLane);
  BOOST_TEST(lanes[2].height >= 1.0);
  BOOST_TEST(height_of(lanes) < 1100);
  const std::string picture = to_svg(history, "t", "s");
  BOOST_TEST(count(picture, "<g id=") == 1001u);
  BOOST_TEST(picture.find(">n700</text>") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_history_in_which_nothing_happened_has_a_picture_too) {
  const History history = history_of(2);
  BOOST_TEST(count(to_svg(history, "t", "s"), "<g id=") == 3u);
  BOOST_TEST(to_html({history, report_of(history), "c", "", {}, {}, {}}).size() > 1000u);
  BOOST_TEST(to_svg(History(), "t", "s").find("</svg>") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(ticks_are_round_and_few) {
  for (const double end : {0.001, 0.7, 5.56, 82.0, 700.0, 90'000.0}) {
    const auto list = ticks(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(end)));
    BOOST_TEST(list.size() >= 5u, end);
    BOOST_TEST(list.size() <= 13u, end);
    BOOST_TEST(list[0].label.substr(0, 1) == "0");
  }
  BOOST_TEST(ticks(milliseconds(5560))[1].label == "0.5 s");
}

BOOST_AUTO_TEST_CASE(a_report_is_a_page_or_a_picture_and_nothing_else) {
  BOOST_TEST((report_kind_of("a.html") == ReportKind::page));
  BOOST_TEST((report_kind_of("a.svg") == ReportKind::picture));
  BOOST_TEST(report_kind_of("a.pdf").error().message == "--report writes FILE.html or FILE.svg, not 'a.pdf'");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(live_screen)

BOOST_AUTO_TEST_CASE(every_machine_has_a_cell_at_twenty_a_hundred_and_a_thousand) {
  struct {
    std::size_t clients;
    Grid::Kind kind;
  } const sizes[] = {{20, Grid::Kind::full}, {100, Grid::Kind::named}, {1000, Grid::Kind::dots}};
  for (const auto& size : sizes) {
    History history = history_of(size.clients);
    boot(history, 0, milliseconds(0), milliseconds(1));
    for (std::size_t i = 1; i <= size.clients; ++i) boot(history, i, milliseconds(10 * i), milliseconds(1));
    ViewState view;
    const Screen screen = compose({history, std::chrono::seconds(20), "test", {}, {}}, view, 80, 24);
    BOOST_TEST(screen.size() == 24u);
    BOOST_TEST((view.grid.kind == size.kind), size.clients);
    BOOST_TEST(view.grid.per_cell == 1u);
    std::size_t cells = 0;
    for (std::size_t row = 5; row < screen.size(); ++row) {
      for (const Span& span : screen[row]) cells += span.stage ? 1 : 0;
    }
    BOOST_TEST(cells == size.clients + 1);
    BOOST_TEST(text_of(screen).find(fmt::format("{0} of {0} ready", size.clients)) != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(when_several_machines_share_a_cell_the_one_that_failed_is_seen) {
  History history = history_of(4000);
  boot(history, 0, milliseconds(0), milliseconds(1));
  for (std::size_t i = 1; i <= 4000; ++i) boot(history, i, milliseconds(i), milliseconds(1));
  history.failure(2222, milliseconds(9000), Stage::kernel, "why");
  ViewState view;
  const Screen screen = compose({history, std::chrono::seconds(20), "test", {}, {}}, view, 80, 24);
  BOOST_TEST(view.grid.per_cell > 1u);
  std::size_t failed = 0;
  for (std::size_t row = 5; row < screen.size(); ++row) {
    for (const Span& span : screen[row]) failed += span.stage == Stage::failed ? 1 : 0;
  }
  BOOST_TEST(failed == 1u);
  BOOST_TEST(text_of(screen).find("n2222 failed in kernel: why") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_machine_that_a_fault_has_stopped_does_not_look_ready) {
  for (const std::size_t clients : {3u, 60u, 1000u}) {
    History history = history_of(clients);
    for (std::size_t i = 0; i <= clients; ++i) boot(history, i, milliseconds(i), milliseconds(1));
    ViewState view;
    LiveInput input{history, std::chrono::seconds(20), "test", {}, {}};
    input.in_the_way.resize(clients + 1);
    input.stopped.resize(clients + 1);
    input.in_the_way[2] = {"frozen"};
    input.stopped[2] = true;
    input.in_the_way[3] = {"loss"};
    const auto marked = [&] {
      const Screen screen = compose(input, view, 80, 24);
      std::size_t bad = 0;
      for (std::size_t row = 5; row < screen.size(); ++row) {
        for (const Span& span : screen[row]) bad += span.paint == Paint::bad && !span.stage ? 1 : 0;
      }
      return bad;
    };
    BOOST_TEST(marked() == 1u, clients);
    const std::string text = text_of(compose(input, view, 80, 24));
    BOOST_TEST(text.find("1 stopped by faults") != std::string::npos);
    if (view.grid.kind == Grid::Kind::full) {
      BOOST_TEST(text.find("#n2     ready, frozen") != std::string::npos, text);
      BOOST_TEST(text.find(" n3     ready, loss") != std::string::npos, text);
    }
    view.chosen = 3;
    view.inside = true;
    BOOST_TEST(text_of(compose(input, view, 80, 24)).find("in its way: loss") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(reasons_are_told_to_their_end_where_there_is_room) {
  History history = history_of(100);
  boot(history, 0, milliseconds(0), milliseconds(1));
  for (std::size_t i = 1; i <= 100; ++i) boot(history, i, milliseconds(i), milliseconds(1));
  const std::string reason =
      "no answer from any DHCP server on eth0 (asked 8 times in 20 s); DHCP: 8 DISCOVER, no OFFER; its link "
      "is down "
      "since 13.589 s (fault n3.down)";
  for (const std::size_t i : {3u, 4u, 5u}) history.failure(i, milliseconds(9000 + i), Stage::dhcp, reason);
  ViewState view;
  const auto compose_at = [&](std::size_t columns, std::size_t rows) {
    const Screen screen = compose({history, std::chrono::seconds(20), "test", {}, {}}, view, columns, rows);
    for (std::size_t row = 0; row + 1 < screen.size(); ++row) {  // (the last one is of keys)
      std::size_t width = 0;
      for (const Span& span : screen[row]) width += span.text.size();
      BOOST_TEST(width <= columns + 2);  // "…" has three bytes
    }
    return text_of(screen);
  };
  const std::string small = compose_at(80, 24), large = compose_at(80, 50);
  BOOST_TEST(small.find("n5 failed in dhcp: no answer") != std::string::npos);
  BOOST_TEST(small.find("n3.down)") != std::string::npos);
  BOOST_TEST(small.find("and 2 more failed; f looks into the next") != std::string::npos);
  BOOST_TEST(count(large, "n3.down)") == 3u);
  BOOST_TEST(large.find("more failed") == std::string::npos);
  const std::string least = compose_at(80, 9);
  BOOST_TEST(least.find("n5 failed in dhcp: … its link is down since") != std::string::npos);
  view.press(ViewKey::next_failed, history);
  BOOST_TEST(compose_at(80, 24).find("n3.down)") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(no_size_of_a_terminal_is_too_small) {
  const History history = small();
  for (std::size_t columns : {1u, 10u, 40u, 300u}) {
    for (std::size_t rows : {1u, 2u, 6u, 8u, 100u}) {
      for (const bool inside : {false, true}) {
        ViewState view;
        view.chosen = 2;
        view.inside = inside;
        BOOST_TEST(
            compose({history, milliseconds(1000), "t", {"said"}, {"line"}}, view, columns, rows).size() ==
            rows);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(keys_choose_a_machine_and_look_into_it) {
  const History history = small();
  ViewState view;
  (void)compose({history, milliseconds(1000), "t", {}, {}}, view, 80, 24);
  view.press(ViewKey::left, history);
  view.press(ViewKey::right, history);
  BOOST_TEST(*view.chosen == 1u);
  view.press(ViewKey::last, history);
  view.press(ViewKey::right, history);
  BOOST_TEST(*view.chosen == 3u);
  view.press(ViewKey::next_failed, history);
  BOOST_TEST(*view.chosen == 2u);
  BOOST_TEST(view.inside);
  const std::string text =
      text_of(compose({history, milliseconds(1000), "t", {}, {"\x1b]0;evil\x07last words"}}, view, 80, 24));
  BOOST_TEST(text.find("dhcp      at    0.150 s  for 0.750 s") != std::string::npos);
  BOOST_TEST(text.find("last words") != std::string::npos);
  BOOST_TEST(text.find('\x1b') == std::string::npos);
  view.press(ViewKey::back, history);
  BOOST_TEST(!view.inside);
  view.press(ViewKey::back, history);
  BOOST_TEST(!view.chosen.has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
