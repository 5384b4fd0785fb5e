// A scenario file is read in two steps, as a lab file is: a small tree, and the readers below, each of which
// turns a map of that tree into a struct and notes problems without stopping at them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "vboot/lab/node_reader.h"
#include "vboot/scenario/plan/scenario.h"
#include "vboot/scenario/plan/scenario_words.h"

namespace rookery::vboot {
namespace {

constexpr std::array<std::string_view, 4> kPowerWords{"on", "cut", "reset", "press"};
constexpr std::size_t kLongestText = 8192;

// What an entry of `timeline:` or `workload:` says, before it is a Step.
struct StepWords {
  std::optional<std::string> name;
  std::optional<Event> on;
  std::optional<Duration> at, after;
  std::optional<std::pair<Duration, Duration>> within;
  ProgramStep program;
  std::string text;  // of what it does
  std::vector<decltype(Step::what)> deeds;
  bool timed = false;  // it says when, however wrongly
  bool wrong = false;  // what it does was noted as a problem
};

class Reader final : NodeReader {
 public:
  Reader(Problems& problems, std::string_view filename, const Beside& around)
      : NodeReader(problems), filename_(filename), around_(around) {}

  // The lab's own problems, if it stands in the file.
  std::optional<Error> lab_error;

  Scenario scenario(const YamlNode& root) {
    Scenario read;
    read.filename = filename_;
    map(root, "the scenario file",
        {{"scenario",
          [&](const YamlNode& v) {
            read.name = name(v, "a scenario name", "boot-storm", 32, "-").value_or("");
          }},
         {"lab", [&](const YamlNode& v) { lab(v, read); }},
         {"seed", [&](const YamlNode& v) { read.seed = number(v, "a seed", 999'999'999); }},
         {"timeline", [&](const YamlNode& v) { steps(v, "timeline", read.steps); }},
         {"workload", [&](const YamlNode& v) { steps(v, "workload", read.steps); }},
         {"expect", [&](const YamlNode& v) { expectations(v, read.expectations); }},
         {"ends", [&](const YamlNode& v) { ends(v, read.ends); }}});
    if (root.kind != YamlNode::Kind::map) return read;
    require(root, "scenario", "a scenario needs a name: 'scenario: boot-storm'");
    require(root, "lab", "a scenario needs a lab: 'lab: classroom.yaml', or a lab's keys below 'lab:'");
    return read;
  }

 private:
  void lab(const YamlNode& node, Scenario& read) {
    read.lab_at = node.at;
    if (node.kind == YamlNode::Kind::scalar && !node.text.empty()) {
      read.lab = node.text;
    } else if (node.kind == YamlNode::Kind::map) {
      if (auto whole = parse_lab(node, filename_, around_)) {
        read.lab = std::move(*whole);
      } else {
        lab_error = whole.error();
      }
    } else {
      problems_.add(
          node.at, fmt::format("expected the path of a lab file, or a lab's keys, found {}", describe(node)));
    }
  }

  void steps(const YamlNode& node, std::string_view where, std::vector<Step>& found) {
    if (!list(node, where)) return;
    for (const YamlNode& entry : node.items) {
      if (found.size() == kStepsMax)
        return problems_.add(entry.at, fmt::format("more than {} steps", kStepsMax));
      step(entry, where == "workload", found);
    }
  }

  bool list(const YamlNode& node, std::string_view where) {
    if (node.kind == YamlNode::Kind::list) return true;
    problems_.add(node.at, fmt::format("expected '{}' to be a list, each entry after a '-', found {}", where,
                                       describe(node)));
    return false;
  }

  std::vector<Key> moment_keys(StepWords& words) {
    const auto timed = [&words](std::string_view key, const std::function<void(const YamlNode&)>& read) {
      return Key{key, [&words, read](const YamlNode& v) {
                   words.timed = true;
                   read(v);
                 }};
    };
    return {{"name", [&](const YamlNode& v) { words.name = name(v, "a name", "blackout", 32, "-"); }},
            timed("at", [&](const YamlNode& v) { words.at = time(v); }),
            timed("when", [&](const YamlNode& v) { words.on = sentence(v, parse_event); }),
            timed("after", [&](const YamlNode& v) { words.after = time(v); }),
            timed("within", [&](const YamlNode& v) { words.within = window(v); })};
  }

  void step(const YamlNode& node, bool workload, std::vector<Step>& found) {
    StepWords words;
    std::vector<Key> keys = moment_keys(words);
    workload ? add_program_keys(keys, words) : add_deed_keys(keys, words);
    map(node, workload ? "a step of the workload" : "a step of the timeline", keys);
    if (node.kind != YamlNode::Kind::map || words.wrong) return;
    if (words.deeds.size() != 1) {
      return problems_.add(
          node.at,
          workload ? "a step of the workload needs a program: 'run: uname -a'"
                   : fmt::format("a step of the timeline does one thing: fault, clear, power or quiet; this "
                                 "one does {}",
                                 words.deeds.empty() ? "nothing" : "several"));
    }
    Step step;
    step.at = node.at;
    step.what = std::move(words.deeds.front());
    step.text = std::move(words.text);
    step.when = moment(words, node.at, workload);
    step.name = words.name ? *words.name : unnamed(step, found);
    if (auto* fault = std::get_if<FaultSpec>(&step.what)) {
      if (words.name) fault->name = *words.name;
      if (!words.name) step.name = fault->name;
    }
    if (auto* program = std::get_if<ProgramStep>(&step.what)) *program = std::move(words.program);
    found.push_back(std::move(step));
  }

  // A name for who did not give one: what it does, and its number among those that do the same.
  static std::string unnamed(const Step& step, const std::vector<Step>& others) {
    const auto same = std::count_if(others.begin(), others.end(),
                                    [&](const Step& other) { return other.text == step.text; });
    return same == 0 ? step.text : fmt::format("{} #{}", step.text, same + 1);
  }

  void add_deed_keys(std::vector<Key>& keys, StepWords& words) {
    keys.push_back({"fault", [&](const YamlNode& v) { fault(v, words); }});
    keys.push_back({"clear", [&](const YamlNode& v) {
                      words.text = "clear " + v.text;
                      words.deeds.emplace_back(ClearFault{v.text});
                      if (!v.text.empty()) return;
                      words.wrong = true;
                      problems_.add(v.at, fmt::format("expected the name of a fault, found {}", describe(v)));
                    }});
    keys.push_back({"power", [&](const YamlNode& v) { power(v, words); }});
    keys.push_back({"quiet", [&](const YamlNode& v) {
                      words.text = "quiet " + v.text;
                      const auto quiet = time(v);
                      words.wrong = !quiet;
                      words.deeds.emplace_back(QuietStep{quiet.value_or(Duration(0))});
                    }});
  }

  void add_program_keys(std::vector<Key>& keys, StepWords& words) {
    ProgramStep& program = words.program;
    keys.push_back({"run", [&](const YamlNode& v) { run(v, words); }});
    keys.push_back({"machines", [&](const YamlNode& v) {
                      program.who = sentence(v, parse_selection).value_or(Selection{});
                    }});
    keys.push_back({"exit_code", [&](const YamlNode& v) {
                      const bool zero = v.text == "0" && !v.quoted;
                      program.exit_code =
                          zero ? 0 : static_cast<int>(number(v, "an exit code", 255).value_or(0));
                    }});
    keys.push_back({"output", [&](const YamlNode& v) { program.output = pattern(v); }});
    keys.push_back(
        {"timeout", [&](const YamlNode& v) { program.timeout = time(v).value_or(program.timeout); }});
  }

  void run(const YamlNode& node, StepWords& words) {
    words.wrong = true;
    std::vector<std::string> argv;
    if (node.kind == YamlNode::Kind::list) {
      for (const YamlNode& word : node.items) {
        if (word.kind == YamlNode::Kind::scalar) argv.push_back(word.text);
      }
    } else if (node.kind == YamlNode::Kind::scalar && !node.text.empty()) {
      argv = {"sh", "-c", node.text};
    }
    const bool whole = node.kind != YamlNode::Kind::list || argv.size() == node.items.size();
    if (argv.empty() || !whole) {
      problems_.add(
          node.at,
          fmt::format("expected a line for the shell, or a list of a program and its arguments, found {}",
                      describe(node)));
      return;
    }
    words.text = fmt::format(
        "run {}", node.kind == YamlNode::Kind::list ? fmt::format("{}", fmt::join(argv, " ")) : node.text);
    words.program.argv = std::move(argv);
    words.deeds.emplace_back(ProgramStep{});
    words.wrong = false;
  }

  void fault(const YamlNode& node, StepWords& words) {
    words.wrong = true;
    Result<FaultSpec> read = rookery::fail(
        ErrorKind::usage, "expected a fault, like 'n5 loss=10% for=5s', found " + describe(node));
    if (node.kind == YamlNode::Kind::scalar) read = parse_fault(std::string_view(node.text));
    if (node.kind == YamlNode::Kind::map) {
      std::vector<std::string> all;
      for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
        const YamlNode &key = node.items[i], &value = node.items[i + 1];
        const bool flag = !value.quoted && value.text == "true";
        all.push_back(flag ? key.text : fmt::format("{}={}", key.text, value.text));
      }
      read = parse_fault(std::span<const std::string>(all));
    }
    if (!read) return problems_.add(node.at, read.error().message);
    words.text = fmt::format("fault {}", node.kind == YamlNode::Kind::scalar ? node.text : to_text(*read));
    words.deeds.emplace_back(std::move(*read));
    words.wrong = false;
  }

  void power(const YamlNode& node, StepWords& words) {
    words.wrong = true;
    const std::string_view text = node.text;
    const std::size_t space = std::min(text.find(' '), text.size());
    const std::string_view action = text.substr(0, space);
    if (std::find(kPowerWords.begin(), kPowerWords.end(), action) == kPowerWords.end()) {
      return problems_.add(
          node.at, fmt::format("expected an action and machines, like 'cut n5' (actions are: {}), found {}",
                               fmt::join(kPowerWords, ", "), describe(node)));
    }
    auto who = parse_selection(text.substr(space));
    if (!who) return problems_.add(node.at, who.error().message);
    words.text = fmt::format("power {}", text);
    words.deeds.emplace_back(PowerStep{std::string(action), std::move(*who)});
    words.wrong = false;
  }

  Moment moment(const StepWords& words, Place place, bool workload) {
    Moment when;
    when.on = words.on;
    const int given = (words.at ? 1 : 0) + (words.after ? 1 : 0) + (words.within ? 1 : 0);
    if (given > 1) problems_.add(place, "a step has one of at, after and within");
    if (words.at && words.on)
      problems_.add(place, "'at' is a time from the start of the run; after an event it is 'after'");
    if (words.after && !words.on)
      problems_.add(place, "'after' needs an event ('when: all ready'); from the start it is 'at'");
    if (!words.timed) {
      if (!workload)
        problems_.add(
            place,
            "a step of the timeline needs its time: 'at: 10 s', 'within: [5 s, 20 s]' or 'when: all ready'");
      when.on = parse_event("all ready", place).value();  // a workload is for machines that are there
    }
    const Duration fixed = words.at.value_or(words.after.value_or(Duration(0)));
    std::tie(when.earliest, when.latest) = words.within.value_or(std::pair(fixed, fixed));
    return when;
  }

  std::optional<std::pair<Duration, Duration>> window(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::list || node.items.size() != 2) {
      problems_.add(node.at, fmt::format("expected two times, like '[5 s, 20 s]', found {}", describe(node)));
      return std::nullopt;
    }
    const auto from = time(node.items[0]), to = time(node.items[1]);
    if (!from || !to) return std::nullopt;
    if (*from <= *to) return std::pair(*from, *to);
    problems_.add(node.at, fmt::format("the window ends before it begins: {} is later than {}",
                                       describe(node.items[0]), describe(node.items[1])));
    return std::nullopt;
  }

  void expectations(const YamlNode& node, std::vector<Expectation>& found) {
    if (!list(node, "expect")) return;
    for (const YamlNode& entry : node.items) {
      if (found.size() == kExpectationsMax)
        return problems_.add(entry.at, fmt::format("more than {} expectations", kExpectationsMax));
      found.push_back(expectation(entry));
    }
  }

  Expectation expectation(const YamlNode& node) {
    using Kind = Expectation::Kind;
    Expectation read;
    read.at = node.at;
    std::optional<Pattern> reason;
    std::optional<Place> within_at, reason_at;
    int kinds = 0;
    const auto condition = [&](std::string_view word, Kind kind) {
      return Key{word, [&, word, kind](const YamlNode& v) {
                   ++kinds;
                   read.kind = kind;
                   read.text = fmt::format("{}: {}", word, v.text);
                   if (auto is = sentence(v, parse_condition)) read.condition = std::move(*is);
                 }};
    };
    map(node, "an expectation",
        {condition("eventually", Kind::eventually),
         condition("never", Kind::never),
         condition("at_end", Kind::at_end),
         condition("after_faults", Kind::after_faults),
         {"check",
          [&](const YamlNode& v) {
            ++kinds;
            read.kind = Kind::check;
            read.text = fmt::format("check: {}", v.text);
            if (v.kind != YamlNode::Kind::scalar || v.text.empty())
              problems_.add(v.at, fmt::format("expected a program's path, found {}", describe(v)));
            read.program = v.text;
          }},
         {"within",
          [&](const YamlNode& v) {
            within_at = v.at;
            read.within = time(v);
          }},
         {"reason", [&](const YamlNode& v) {
            reason_at = v.at;
            reason = pattern(v);
          }}});
    if (node.kind != YamlNode::Kind::map) return read;
    if (kinds != 1)
      problems_.add(node.at, "an expectation is one of eventually, never, at_end, after_faults and check");
    if (within_at && read.kind != Kind::eventually && read.kind != Kind::after_faults)
      problems_.add(*within_at, "'within' goes with eventually and after_faults");
    if (read.within) read.text += fmt::format(", within {}", to_text(*read.within));
    if (!reason_at) return read;
    const auto& stages = read.condition.stages;
    if (std::find(stages.begin(), stages.end(), Stage::failed) == stages.end())
      problems_.add(*reason_at,
                    "'reason' is about machines that failed: the expectation has to name that stage");
    read.condition.reason = std::move(reason);
    return read;
  }

  void ends(const YamlNode& node, Ends& ends) {
    map(node, "'ends'",
        {{"after", [&](const YamlNode& v) { ends.after = within(v, time(v), Duration(1), kLongestRun); }},
         {"when", [&](const YamlNode& v) { ends.when = sentence(v, parse_condition); }}});
  }

  std::optional<Duration> time(const YamlNode& node) { return quantity(node, parse_duration); }

  std::optional<Pattern> pattern(const YamlNode& node) {
    auto made = node.kind == YamlNode::Kind::scalar
                    ? Pattern::compile(node.text)
                    : Result<Pattern>(rookery::fail(
                          ErrorKind::usage, "expected a regular expression, found " + describe(node)));
    if (made) return std::move(*made);
    problems_.add(node.at, made.error().message);
    return std::nullopt;
  }

  template <typename T>
  std::optional<T> sentence(const YamlNode& node, Result<T> (*parse)(std::string_view)) {
    return sentence<T>(node, [parse](std::string_view text, Place) { return parse(text); });
  }
  template <typename T>
  std::optional<T> sentence(const YamlNode& node, Result<T> (*parse)(std::string_view, Place)) {
    return sentence<T>(node, [parse](std::string_view text, Place at) { return parse(text, at); });
  }
  template <typename T, typename Parse>
  std::optional<T> sentence(const YamlNode& node, const Parse& parse) {
    const bool scalar = node.kind == YamlNode::Kind::scalar && node.text.size() <= kLongestText;
    auto read = parse(scalar ? std::string_view(node.text) : std::string_view{}, node.at);
    if (read) return std::move(*read);
    problems_.add(node.at, read.error().message);
    return std::nullopt;
  }

  std::string filename_;
  const Beside& around_;
};

}  // namespace

Result<Scenario> parse_scenario(std::string_view text, std::string_view filename, const Beside& around) {
  auto tree = parse_yaml(text, filename);
  if (!tree) return tl::unexpected(tree.error());
  Problems problems(filename);
  Reader reader(problems, filename, around);
  Scenario scenario = reader.scenario(*tree);
  if (!problems.empty() && reader.lab_error) {
    Error both = problems.to_error();
    both.message += "\n" + reader.lab_error->message;
    return tl::unexpected(std::move(both));
  }
  if (reader.lab_error) return tl::unexpected(std::move(*reader.lab_error));
  if (!problems.empty()) return tl::unexpected(problems.to_error());
  return scenario;
}

}  // namespace rookery::vboot
