#include "vboot/lab/side_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "base/file.h"

namespace rookery::vboot {
namespace {

// Nothing of it leads out of where it says.
bool is_place_in_machine(std::string_view path) {
  constexpr std::size_t kLongest = 1024;
  if (!path.starts_with('/') || path.size() > kLongest) return false;
  if (std::any_of(path.begin(), path.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }))
    return false;
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  while (path.size() > 1) {
    path.remove_prefix(1);
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(part.size());
  }
  return true;
}

}  // namespace

std::string beside_lab_file(std::string_view lab_file, const std::string& path) {
  if (path.starts_with("~/")) {
    if (const auto home = home_folder()) return home->string() + path.substr(1);
  }
  return (std::filesystem::path(lab_file).parent_path() / path).string();
}

std::optional<std::string> SideReader::side_file(const YamlNode& node, std::string_view what) {
  if (node.kind != YamlNode::Kind::scalar || node.text.empty()) {
    problems_.add(node.at, fmt::format("expected the path of {}, found {}", what, describe(node)));
    return std::nullopt;
  }
  auto text =
      read_ ? read_(node.text) : Result<std::string>(fail("only a lab file of its own may name other files"));
  if (text) return std::move(*text);
  problems_.add(node.at, fmt::format("cannot read {}: {}", what, text.error().message));
  return std::nullopt;
}

void SideReader::hosts(const YamlNode& node, GroupWords& words, std::vector<HostRow>& rows) {
  words.from_at = node.at;
  const auto text = side_file(node, "a table of machines (CSV)");
  if (text) rows = parse_hosts(*text, beside(node.text), problems_);
}

std::vector<std::string> SideReader::authorized_keys(const YamlNode& node) {
  std::vector<std::string> keys;
  const bool is_list = node.kind == YamlNode::Kind::list && !node.items.empty();
  for (const YamlNode& item : is_list ? std::span(node.items) : std::span(&node, 1)) {
    const bool literal =
        item.kind == YamlNode::Kind::scalar && item.text.find_first_of(" \t") != std::string::npos;
    if (literal) {
      if (std::string why = problem_of_key(item.text); !why.empty()) problems_.add(item.at, std::move(why));
      keys.push_back(item.text);
    } else if (const auto text = side_file(item, "public keys for SSH")) {
      for (std::string& key : parse_keys(*text, beside(item.text), problems_)) keys.push_back(std::move(key));
    }
  }
  if (keys.size() > kKeysMost) problems_.add(node.at, fmt::format("more than {} keys", kKeysMost));
  return keys;
}

std::vector<Injection> SideReader::inject(const YamlNode& node) {
  std::vector<Injection> found;
  if (node.kind != YamlNode::Kind::list || node.items.size() > kInjectionsMax) {
    problems_.add(node.at, fmt::format("expected a list of at most {} files, folders and packages like "
                                       "[{{from: motd, to: /etc/motd}}, tools.deb], found {}",
                                       kInjectionsMax, describe(node)));
    return found;
  }
  for (const YamlNode& item : node.items) found.push_back(injection(item));
  return found;
}

Injection SideReader::injection(const YamlNode& node) {
  Injection one;
  one.at = node.at;
  if (node.kind == YamlNode::Kind::scalar && node.text.ends_with(".deb")) {
    one.from = beside(node.text);
    return one;
  }
  if (node.kind != YamlNode::Kind::map) {
    problems_.add(node.at,
                  fmt::format("expected a package like 'tools.deb', or a file or folder and its place "
                              "like {{from: motd, to: /etc/motd}}, found {}",
                              describe(node)));
    return one;
  }
  map(node, "what is injected",
      {{"from",
        [&](const YamlNode& v) {
          if (v.kind != YamlNode::Kind::scalar || v.text.empty())
            problems_.add(v.at, fmt::format("expected the path of a file or folder, found {}", describe(v)));
          one.from = beside(v.text);
        }},
       {"to", [&](const YamlNode& v) {
          if (!is_place_in_machine(v.text)) {
            problems_.add(v.at,
                          fmt::format("expected a place in the machine like '/etc/motd' (absolute, without "
                                      "'.', '..' and control characters), found {}",
                                      describe(v)));
          }
          one.to = v.text;
        }}});
  require(node, "from", "what is injected needs a file or folder: 'from: motd'");
  require(node, "to", "what is injected needs a place: 'to: /etc/motd'");
  return one;
}

}  // namespace rookery::vboot
