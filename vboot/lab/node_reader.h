// What every reader of a YAML tree does: maps with known keys, maps with names, and single values. Problems
// are noted and reading goes on. A base for the reader of one file; borrows the list of its problems.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vboot/lab/problems.h"
#include "vboot/lab/quantity.h"
#include "vboot/lab/yaml_tree.h"

namespace rookery::vboot {

class NodeReader {
 protected:
  struct Key {
    std::string_view name;
    std::function<void(const YamlNode&)> read;
  };

  explicit NodeReader(Problems& problems) : problems_(problems) {}

  // Calls the reader of every key; unknown, repeated and non-text keys are problems.
  void map(const YamlNode& node, std::string_view where, const std::vector<Key>& keys);
  // A map whose keys are names that the file gives.
  void entries(const YamlNode& node, std::string_view where, std::string_view of_what, std::size_t most,
               const std::function<void(const YamlNode&, const YamlNode&)>& read);
  // Notes `message` if a map lacks the key.
  void require(const YamlNode& node, std::string_view key, std::string_view message);

  // One value; nothing, and a problem, if it is not what it must be.
  std::optional<std::string> name(const YamlNode& node, std::string_view what, std::string_view example,
                                  std::size_t longest, std::string_view also);
  std::optional<std::uint32_t> number(const YamlNode& node, std::string_view what, std::uint32_t most);
  bool boolean(const YamlNode& node);  // true if it is neither
  // Notes that the value is none of the words.
  void word(const YamlNode& node, std::string_view what, std::span<const std::string_view> words,
            std::string_view plural);
  template <typename T>
  std::optional<T> quantity(const YamlNode& node, Result<T> (*parse)(std::string_view)) {
    // A list, a map or nothing is given to the parser too, as nothing: it knows what was expected.
    auto value =
        parse(node.kind == YamlNode::Kind::scalar ? std::string_view(node.text) : std::string_view{});
    if (value) return *value;
    problems_.add(node.at, value.error().message);
    return std::nullopt;
  }
  template <typename T>
  std::optional<T> within(const YamlNode& node, std::optional<T> value, T least, T most) {
    if (!value || (*value >= least && *value <= most)) return value;
    problems_.add(node.at,
                  fmt::format("expected {} to {}, found {}", to_text(least), to_text(most), describe(node)));
    return std::nullopt;
  }

  Problems& problems_;

 private:
  bool is_new_key(const YamlNode& key, std::string_view where, std::vector<std::string_view>& seen);
};

}  // namespace rookery::vboot
