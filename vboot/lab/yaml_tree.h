// A YAML text as a small tree in which every node knows its line and column. This is the adapter to yaml-cpp:
// its exceptions stop here, and so do the parts of YAML that a lab file has no use for and an attacker has:
// anchors, aliases, tags, several documents, and depth or length without end.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "vboot/lab/problems.h"

namespace rookery::vboot {

// One node; owns all that is below it.
struct YamlNode {
  enum class Kind { nothing, scalar, list, map };
  Kind kind = Kind::nothing;
  Place at;
  std::string text;             // of a scalar
  bool quoted = false;          // a quoted scalar is a text, whatever it looks like
  std::vector<YamlNode> items;  // of a list; of a map its keys and values by turns
};

struct YamlLimits {
  static constexpr Bytes kText{256u << 10};
  static constexpr std::size_t kDepth = 8;
  static constexpr std::size_t kNodes = 20'000;
};

// The one document of the text. An Error is of kind usage and starts with file:line:column.
Result<YamlNode> parse_yaml(std::string_view text, std::string_view filename);

// "the list" , "'20'", "nothing": what was found, for an error.
std::string describe(const YamlNode& node);

}  // namespace rookery::vboot
