#include "vboot/lab/node_reader.h"

#include <algorithm>

#include "vboot/lab/nearest_word.h"
#include "vboot/lab/words.h"

namespace rookery::vboot {

void NodeReader::map(const YamlNode& node, std::string_view where, const std::vector<Key>& keys) {
  if (node.kind != YamlNode::Kind::map) {
    problems_.add(node.at,
                  fmt::format("expected {} to be a map of keys and values, found {}", where, describe(node)));
    return;
  }
  std::vector<std::string_view> names, seen;
  for (const Key& key : keys) names.push_back(key.name);
  for (std::size_t i = 0; i < node.items.size(); i += 2) {
    const YamlNode& key = node.items[i];
    if (!is_new_key(key, where, seen)) continue;
    auto known = std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name == key.text; });
    if (known == keys.end()) {
      problems_.add(key.at, fmt::format("unknown key {} in {}{}", describe(key), where,
                                        suggestion(key.text, names, "known keys")));
      continue;
    }
    known->read(node.items[i + 1]);
  }
}

void NodeReader::entries(const YamlNode& node, std::string_view where, std::string_view of_what,
                         std::size_t most,
                         const std::function<void(const YamlNode&, const YamlNode&)>& read) {
  if (node.kind != YamlNode::Kind::map || node.items.empty()) {
    problems_.add(node.at, fmt::format("expected '{}' to be a map of {}, found {}", where, of_what,
                                       node.kind == YamlNode::Kind::map ? "an empty map" : describe(node)));
    return;
  }
  std::vector<std::string_view> seen;
  for (std::size_t i = 0; i < node.items.size(); i += 2) {
    const YamlNode& key = node.items[i];
    if (!is_new_key(key, where, seen)) continue;
    if (seen.size() > most) {
      problems_.add(key.at, fmt::format("more than {} {}", most, of_what));
      return;
    }
    read(key, node.items[i + 1]);
  }
}

void NodeReader::require(const YamlNode& node, std::string_view key, std::string_view message) {
  for (std::size_t i = 0; i < node.items.size(); i += 2) {
    if (node.items[i].text == key) return;
  }
  problems_.add(node.at, std::string(message));
}

bool NodeReader::is_new_key(const YamlNode& key, std::string_view where,
                            std::vector<std::string_view>& seen) {
  if (key.kind != YamlNode::Kind::scalar) {
    problems_.add(key.at, fmt::format("expected a key in {}, found {}", where, describe(key)));
    return false;
  }
  if (std::find(seen.begin(), seen.end(), key.text) != seen.end()) {
    problems_.add(key.at, fmt::format("key {} is given twice in {}", describe(key), where));
    return false;
  }
  seen.push_back(key.text);
  return true;
}

std::optional<std::string> NodeReader::name(const YamlNode& node, std::string_view what,
                                            std::string_view example, std::size_t longest,
                                            std::string_view also) {
  if (node.kind == YamlNode::Kind::scalar && is_name(node.text, longest, also)) return node.text;
  std::string others;
  for (char c : also) others += fmt::format(" '{}'", c);
  problems_.add(node.at,
                fmt::format("expected {} like '{}' (a-z, 0-9 and{}, first a letter, at most {}), found {}",
                            what, example, others, longest, describe(node)));
  return std::nullopt;
}

std::optional<std::uint32_t> NodeReader::number(const YamlNode& node, std::string_view what,
                                                std::uint32_t most) {
  const std::string& text = node.text;
  const bool digits = node.kind == YamlNode::Kind::scalar && !node.quoted && !text.empty() &&
                      text.size() <= 9 &&
                      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  const auto value = digits && text[0] != '0' ? static_cast<std::uint32_t>(std::stoul(text)) : 0;
  if (value >= 1 && value <= most) return value;
  problems_.add(node.at, fmt::format("expected {} of 1 to {}, found {}{}", what, most, describe(node),
                                     node.quoted ? " in quotes" : ""));
  return std::nullopt;
}

bool NodeReader::boolean(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::scalar && !node.quoted && (node.text == "true" || node.text == "false")) {
    return node.text == "true";
  }
  problems_.add(node.at, fmt::format("expected true or false, found {}", describe(node)));
  return true;
}

void NodeReader::word(const YamlNode& node, std::string_view what, std::span<const std::string_view> words,
                      std::string_view plural) {
  problems_.add(node.at, fmt::format("expected {}, found {}{}", what, describe(node),
                                     suggestion(node.text, words, plural)));
}

}  // namespace rookery::vboot
