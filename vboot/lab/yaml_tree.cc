#include "vboot/lab/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <sstream>

namespace rookery::vboot {
namespace {

Place place_of(const YAML::Mark& mark) {
  return {mark.line + 1, mark.column + 1};
}

// Thrown from the handler to stop yaml-cpp early, and caught in parse_yaml.
struct Refused {
  Place at;
  std::string why;
};

// Builds the tree from yaml-cpp's events; refuses what is too much as soon as it comes.
class TreeBuilder final : public YAML::EventHandler {
 public:
  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse_anchor(mark); }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override { refuse_anchor(mark); }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    YamlNode& node = add(mark, "", anchor, YamlNode::Kind::nothing);
    // yaml-cpp gives the place of what comes after it, often the next line: its key's is the better one.
    const bool value_of_key =
        !open_.empty() && open_.back()->kind == YamlNode::Kind::map && open_.back()->items.size() % 2 == 0;
    if (value_of_key) node.at = open_.back()->items[open_.back()->items.size() - 2].at;
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode& node = add(mark, tag, anchor, YamlNode::Kind::scalar);
    node.text = value;
    node.quoted = tag == "!";  // so says yaml-cpp of quoted and block scalars
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(add(mark, tag, anchor, YamlNode::Kind::list), mark);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(add(mark, tag, anchor, YamlNode::Kind::map), mark);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  [[noreturn]] static void refuse_anchor(const YAML::Mark& mark) {
    throw Refused{place_of(mark),
                  "anchors and aliases ('&' and '*') are not used in lab files; write it out"};
  }

  YamlNode& add(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (anchor != 0) refuse_anchor(mark);
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refused{place_of(mark), fmt::format("tags are not used in lab files, found '{}'", tag)};
    }
    if (++nodes_ > YamlLimits::kNodes) {
      throw Refused{place_of(mark), fmt::format("more than {} values", YamlLimits::kNodes)};
    }
    YamlNode* node = &root_;
    if (!open_.empty()) node = &open_.back()->items.emplace_back();
    node->kind = kind;
    node->at = place_of(mark);
    return *node;
  }

  // Only the innermost open node grows, so that the pointers to its ancestors stay good.
  void open(YamlNode& node, const YAML::Mark& mark) {
    if (open_.size() == YamlLimits::kDepth) {
      throw Refused{place_of(mark), fmt::format("nested deeper than {} levels", YamlLimits::kDepth)};
    }
    open_.push_back(&node);
  }

  YamlNode root_;
  std::vector<YamlNode*> open_;
  std::size_t nodes_ = 0;
};

tl::unexpected<Error> refuse(std::string_view filename, Place place, std::string_view why) {
  return fail(ErrorKind::usage, at_place(filename, place, why));
}

// YAML is text: refuses the bytes that it does not allow (YAML 1.2 §5.1), which yaml-cpp takes in silence.
std::optional<Place> stray_byte(std::string_view text) {
  Place place{1, 1};
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f) return place;
    place = c == '\n' ? Place{place.line + 1, 1} : Place{place.line, place.column + 1};
  }
  return std::nullopt;
}

}  // namespace

Result<YamlNode> parse_yaml(std::string_view text, std::string_view filename) {
  if (text.size() > YamlLimits::kText.count) {
    return refuse(filename, {},
                  fmt::format("{} bytes; a lab file has at most {}", text.size(), YamlLimits::kText.count));
  }
  if (auto place = stray_byte(text)) return refuse(filename, *place, "a control character: this is not text");
  TreeBuilder builder;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return refuse(filename, {1, 1}, "the file is empty");
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      return refuse(filename, second.take().at, "a second document ('---'); a lab file holds one");
    }
  } catch (const Refused& refused) {
    return refuse(filename, refused.at, refused.why);
  } catch (const YAML::Exception& exception) {
    return refuse(filename, exception.mark.is_null() ? Place{} : place_of(exception.mark),
                  fmt::format("not YAML: {}", exception.msg));
  } catch (const std::exception& exception) {
    return refuse(filename, {}, fmt::format("not YAML: {}", exception.what()));
  }
  return builder.take();
}

std::string describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::nothing:
      return "nothing";
    case YamlNode::Kind::list:
      return "a list";
    case YamlNode::Kind::map:
      return "a map";
    case YamlNode::Kind::scalar:
      break;
  }
  constexpr std::size_t kShown = 80;
  std::string shown = node.text.substr(0, kShown);
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return fmt::format("'{}{}'", shown, node.text.size() > kShown ? "…" : "");
}

}  // namespace rookery::vboot
