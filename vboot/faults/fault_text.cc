// A fault back into its words.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "vboot/faults/fault.h"
#include "vboot/faults/fault_words.h"
#include "vboot/lab/quantity.h"

namespace rookery::vboot {
namespace {

using Word = std::pair<std::string_view, std::string>;  // without a value: a word alone

// 10%, never 10.000000000000002%: the fewest digits that are read as the same number.
std::string share(double chance) {
  for (int digits = 0; digits < 18; ++digits) {
    const std::string text = fmt::format("{:.{}f}", chance * 100, digits);
    if (std::stod(text) / 100 == chance) return text + "%";
  }
  return fmt::format("{}%", chance * 100);
}
std::string without_space(std::string text) {
  std::erase(text, ' ');
  return text;
}
std::string time(Duration duration) {
  return (duration < Duration{0} ? "-" : "") + without_space(to_text(std::chrono::abs(duration)));
}
std::string list(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ","));
}

// The words of an effect, its own first.
struct Effect {
  std::vector<Word>& words;
  double chance;

  void add(std::string_view key, std::string value = {}) const { words.emplace_back(key, std::move(value)); }

  void operator()(const netsim::Loss&) const { add("loss", share(chance)); }
  void operator()(const netsim::BurstLoss& burst) const {
    add("burst", share(burst.begin));
    add("recover", share(burst.end));
    if (burst.loss_outside != 0) add("outside", share(burst.loss_outside));
    if (burst.loss_inside != 1) add("inside", share(burst.loss_inside));
  }
  void operator()(const netsim::Delay& delay) const { add("delay", time(delay.by)); }
  void operator()(const netsim::Jitter& jitter) const {
    add("jitter", time(jitter.mean));
    if (jitter.distribution == netsim::Distribution::normal) add("distribution", "normal");
    if (jitter.distribution == netsim::Distribution::pareto) add("distribution", "pareto");
  }
  void operator()(const netsim::RateLimit& limit) const {
    add("rate", without_space(to_text(BitRate{limit.rate.bits_per_second})));
    if (limit.queue != netsim::RateLimit{}.queue) add("queue", without_space(to_text(limit.queue)));
  }
  void operator()(const netsim::Duplicate&) const { add("duplicate", share(chance)); }
  void operator()(const netsim::Reorder& reorder) const {
    add("reorder", share(chance));
    if (reorder.by != netsim::Reorder{}.by) add("by", time(reorder.by));
  }
  void operator()(const netsim::Corrupt& corrupt) const {
    add("corrupt", share(chance));
    if (corrupt.checksum_valid) add("checksum", "valid");
  }
  void operator()(const Down&) const { add("down"); }
  void operator()(const Flap& flap) const {
    add("flap", time(flap.period));
    if (flap.up != Flap{}.up) add("up", share(flap.up));
  }
  void operator()(const QueueLimit& limit) const { add("queue", without_space(to_text(limit.queue))); }
  void operator()(const Blocking& blocking) const {
    add("blocking", time(blocking.time));
    if (blocking.bpdus_visible) add("bpdus", "visible");
  }
  void operator()(const Partition& partition) const {
    std::vector<std::string> groups;
    for (const auto& group : partition.groups) groups.push_back(list(group));
    add("partition", fmt::format("{}", fmt::join(groups, "/")));
  }
  void operator()(const OneWayCut& cut) const {
    add("cut", list(cut.from));
    add("to", list(cut.to));
  }
  void operator()(const SwitchRestart& restart) const { add("restart", time(restart.ports_down)); }
  void operator()(const PowerCut&) const { add("power-cut"); }
  void operator()(const Reset&) const { add("reset"); }
  void operator()(const Freeze&) const { add("freeze"); }
  void operator()(const Thaw&) const { add("thaw"); }
  void operator()(const Slow& slow) const { add("slow", time(slow.gap)); }
  void operator()(const ClockStep& step) const { add("clock-step", time(step.by)); }
};

std::vector<Word> pairs_of(const FaultSpec& fault) {
  std::vector<Word> words;
  if (!fault.on.empty()) words.emplace_back("on", list(fault.on));
  std::visit(Effect{words, fault.limits.chance}, fault.effect);
  const bool has_own_chance = std::holds_alternative<netsim::Loss>(fault.effect) ||
                              std::holds_alternative<netsim::Duplicate>(fault.effect) ||
                              std::holds_alternative<netsim::Reorder>(fault.effect) ||
                              std::holds_alternative<netsim::Corrupt>(fault.effect);
  if (!has_own_chance && fault.limits.chance != 1) words.emplace_back("chance", share(fault.limits.chance));
  if (fault.direction == FaultDirection::up) words.emplace_back("direction", "up");
  if (fault.direction == FaultDirection::down) words.emplace_back("direction", "down");
  if (!fault.match.empty()) words.emplace_back("match", fault.match);
  if (fault.limits.skip != 0) words.emplace_back("skip", fmt::to_string(fault.limits.skip));
  if (fault.limits.count) words.emplace_back("count", fmt::to_string(*fault.limits.count));
  if (fault.time) words.emplace_back("for", time(*fault.time));
  return words;
}

// Quoted for parse_fault's line, if it needs to be: no match expression of use has both quotes.
std::string quoted(const std::string& word) {
  if (word.find_first_of(" \t'\"") == std::string::npos) return word;
  const char quote = word.find('\'') == std::string::npos ? '\'' : '"';
  const std::size_t value = word.find('=') + 1;  // words without '=' need no quotes
  return word.substr(0, value) + quote + word.substr(value) + quote;
}

}  // namespace

std::vector<std::string> to_words(const FaultSpec& fault) {
  std::vector<std::string> words;
  for (const auto& [key, value] : pairs_of(fault)) {
    if (key == "on" && !is_fault_word(value)) {
      words.push_back(value);
    } else {
      words.push_back(value.empty() ? std::string(key) : fmt::format("{}={}", key, value));
    }
  }
  if (!fault.name.empty()) words.push_back("name=" + fault.name);
  return words;
}

std::string to_text(const FaultSpec& fault) {
  std::vector<std::string> words;
  for (const std::string& word : to_words(fault)) words.push_back(quoted(word));
  return fmt::format("{}", fmt::join(words, " "));
}

Json to_json(const FaultSpec& fault) {
  Json object = Json::object().set("name", fault.name);
  for (const auto& [key, value] : pairs_of(fault)) {
    object.set(key, value.empty() ? Json::boolean(true) : Json::string(value));
  }
  return object;
}

}  // namespace rookery::vboot
