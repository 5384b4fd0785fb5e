#include "vboot/scenario/plan/scenario_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "vboot/lab/nearest_word.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kPatternsMost = 200;

constexpr std::array kStages{Stage::off,    Stage::firmware, Stage::dhcp,  Stage::script,
                             Stage::kernel, Stage::root,     Stage::ready, Stage::failed};

std::vector<std::string_view> words_of(std::string_view text) {
  constexpr std::string_view kBetween = " ,\t\n";
  std::vector<std::string_view> words;
  for (std::size_t at = 0; (at = text.find_first_not_of(kBetween, at)) != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

using Words = std::span<const std::string_view>;

bool is_number(std::string_view word) {
  return !word.empty() && word.size() <= 6 &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_pattern(std::string_view word) {
  return !word.empty() && word.size() <= 64 && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '*' || c == '?';
  });
}

std::optional<Stage> stage_of(std::string_view word) {
  for (const Stage stage : kStages) {
    if (to_string(stage) == word) return stage;
  }
  return std::nullopt;
}

std::string suggest_stage(std::string_view word) {
  std::vector<std::string_view> names;
  for (const Stage stage : kStages) names.push_back(to_string(stage));
  return suggestion(word, names, "stages");
}

Result<Selection> selection_of(Words words) {
  Selection chosen;
  if (words.size() >= 3 && is_number(words[0]) && words[1] == "of") {
    chosen.some = static_cast<std::uint32_t>(std::stoul(std::string(words[0])));
    if (*chosen.some == 0) return fail(ErrorKind::usage, "none of them is nobody to do it to");
    words = words.subspan(2);
  }
  if (words.size() >= 2 && words[0] == "ready") {
    chosen.ready_only = true;
    words = words.subspan(1);
  }
  if (words.size() == 1) {
    using Group = Selection::Group;
    if (words[0] == "clients") return chosen;
    if (words[0] == "boot-server") return chosen.group = Group::boot_server, chosen;
    if (words[0] == "everything") return chosen.group = Group::everything, chosen;
  }
  chosen.group = Selection::Group::named;
  if (words.empty() || words.size() > kPatternsMost)
    return fail(ErrorKind::usage, "expected machines, like 'clients', 'n5', 'n*' or '3 of n*'");
  for (const std::string_view word : words) {
    if (!is_pattern(word))
      return fail(
          ErrorKind::usage,
          fmt::format("expected machines, like 'clients', 'n5', 'n*' or '3 of n*', found '{}'", word));
    chosen.patterns.emplace_back(word);
  }
  return chosen;
}

// Takes the quantifier off the front of the words.
Status read_quantifier(Words& words, Condition& condition) {
  using Quantifier = Condition::Quantifier;
  const auto is = [&](std::size_t i, std::string_view word) { return words.size() > i && words[i] == word; };
  std::size_t taken = 1;
  if (is(0, "all")) {
    condition.quantifier = Quantifier::all;
  } else if (is(0, "any")) {
    condition.quantifier = Quantifier::any;
  } else if (is(0, "no")) {
    condition.quantifier = Quantifier::none;
  } else if (is(0, "at") && (is(1, "least") || is(1, "most"))) {
    condition.quantifier = is(1, "least") ? Quantifier::at_least : Quantifier::at_most;
    std::string_view number = words.size() > 2 ? words[2] : "";
    condition.percent = number.ends_with('%');
    if (condition.percent) number.remove_suffix(1);
    if (!is_number(number))
      return fail(
          ErrorKind::usage,
          fmt::format("expected a number or a share, like 'at {} 95' or 'at {} 95%'", words[1], words[1]));
    condition.count = static_cast<std::uint32_t>(std::stoul(std::string(number)));
    if (condition.percent && condition.count > 100)
      return fail(ErrorKind::usage, "there is no more than 100%");
    taken = 3;
  } else {
    taken = 0;
  }
  words = words.subspan(taken);
  if (taken > 0 && is(0, "of")) words = words.subspan(1);
  return {};
}

}  // namespace

Result<Selection> parse_selection(std::string_view text) {
  return selection_of(words_of(text));
}

Result<Condition> parse_condition(std::string_view text, Place at) {
  Condition condition;
  condition.text = text;
  condition.at = at;
  const std::vector<std::string_view> all = words_of(text);
  Words words(all);
  ROOKERY_TRY(read_quantifier(words, condition));
  // From the end: stages with "or" between them; what is left in front says whom.
  for (;;) {
    const auto stage = words.empty() ? std::nullopt : stage_of(words.back());
    if (!stage) {
      return fail(
          ErrorKind::usage,
          fmt::format(
              "expected what machines are, like 'all ready', 'n5 failed' or 'at least 95 ready or failed', "
              "found '{}'{}",
              text, words.empty() ? "" : suggest_stage(words.back())));
    }
    condition.stages.push_back(*stage);
    words = words.first(words.size() - 1);
    if (words.empty() || words.back() != "or") break;
    words = words.first(words.size() - 1);
  }
  if (words.empty()) return condition;
  auto who = selection_of(words);
  if (!who) return tl::unexpected<Error>(who.error());
  if (who->some || who->ready_only)
    return fail(ErrorKind::usage,
                "what machines are is said of names and patterns, like 'at least 3 of n* ready'");
  condition.who = std::move(*who);
  return condition;
}

Result<Event> parse_event(std::string_view text, Place at) {
  Event event;
  event.text = text;
  event.at = at;
  const std::vector<std::string_view> words = words_of(text);
  const bool fault = !words.empty() && words[0] == "fault", program = !words.empty() && words[0] == "program";
  if (fault || program) {
    const bool began = fault && words.size() == 3 && words[2] == "began";
    if (words.size() != 3 || (!began && words[2] != "ended")) {
      return rookery::fail(
          ErrorKind::usage,
          fmt::format("expected 'fault NAME began', 'fault NAME ended' or 'program NAME ended', found '{}'",
                      text));
    }
    event.kind = program ? Event::Kind::program_ended
                 : began ? Event::Kind::fault_began
                         : Event::Kind::fault_ended;
    event.name = words[1];
    return event;
  }
  auto condition = parse_condition(text, at);
  if (!condition) return tl::unexpected<Error>(condition.error());
  event.condition = std::move(*condition);
  return event;
}

}  // namespace rookery::vboot
