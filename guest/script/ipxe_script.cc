// How it works: ScriptText cuts the script into lines; Interpreter::run walks them, splits each into commands
// at ; && and ||, expands the words of one command and looks it up in commands(). Every command gives an
// Outcome. A failure is subject to ||, a halt (a limit was hit) is not. `chain` runs another script in the
// same Interpreter, so that settings, images and the step limit are those of the whole boot.
#include "guest/script/ipxe_script.h"

#include <algorithm>
#include <utility>

#include "guest/script/ipxe_interpreter.h"

namespace rookery::ipxe {
namespace {

const Option* find_option(std::span<const Option> options, std::string_view name, bool is_long) {
  const auto option = std::find_if(options.begin(), options.end(), [&](const Option& o) {
    return is_long ? o.name == name : o.letter == name[0];
  });
  return option == options.end() ? nullptr : &*option;
}

// Takes the options off the front of the words, as getopt without reordering does; flags of one letter may
// stand together (-ar).
Result<Invocation> parse_invocation(std::vector<std::string> words, std::span<const Option> options) {
  Invocation call;
  call.command = words[0];
  std::size_t at = 1;
  const auto unknown = [&](std::string_view option) {
    return fail("'" + call.command + "' has no option " + std::string(option.substr(0, 40)));
  };
  for (; at < words.size() && words[at].size() > 1 && words[at][0] == '-'; ++at) {
    const std::string word = words[at];
    if (word == "--") {
      ++at;
      break;
    }
    const bool is_long = word[1] == '-';
    std::string_view rest = std::string_view(word).substr(is_long ? 2 : 1);
    while (!rest.empty()) {
      const std::size_t equals = is_long ? rest.find('=') : 1;
      const Option* const option = find_option(options, rest.substr(0, equals), is_long);
      if (option == nullptr) return unknown(word);
      const bool has_more = equals < rest.size();
      rest.remove_prefix(std::min(is_long && has_more ? equals + 1 : equals, rest.size()));
      std::string& value = call.options[option->letter];
      if (option->has_value) {
        if (!has_more && ++at == words.size()) return fail("the option " + word + " needs a value");
        value = has_more ? std::string(rest) : words[at];
        rest = {};
      } else if (is_long && has_more) {
        return fail("the option " + word + " takes no value");
      }
    }
  }
  call.words.assign(std::make_move_iterator(words.begin() + static_cast<std::ptrdiff_t>(at)),
                    std::make_move_iterator(words.end()));
  return call;
}

}  // namespace

// A script that another one replaces ends here, and the other runs in its place: nothing is nested by that.
Outcome Interpreter::run(std::string_view text, const BootUrl& url) {
  std::string replacement;
  BootUrl here = url;
  for (bool replaced = false;; replaced = true) {
    Result<ScriptText> script = ScriptText::parse(replaced ? std::string_view(replacement) : text);
    Outcome last;
    if (script) {
      const ScriptText* const outer_script = std::exchange(script_, &*script);
      const BootUrl outer_url = std::exchange(url_, here);
      last = run_lines(*script);
      script_ = outer_script;
      url_ = outer_url;
    } else {
      last = failure(script.error().message);
    }
    if (last.kind == Outcome::Kind::replace) {
      replacement = std::move(last.text);
      here = std::move(last.url);
      continue;
    }
    if (last.kind == Outcome::Kind::success) last.kind = Outcome::Kind::exit;
    if (replaced && !last.message.empty()) last.message.insert(0, here.to_string() + ": ");
    return last;
  }
}

Outcome Interpreter::run_lines(const ScriptText& script) {
  Outcome last;
  for (std::size_t at = 0; at < script.lines.size();) {
    last = run_line(script.lines[at]);
    if (last.kind == Outcome::Kind::go_to) {
      at = last.target;
      last = {};
      continue;
    }
    if (last.kind != Outcome::Kind::success) {
      if (!last.message.empty()) {
        last.message.insert(0, "line " + std::to_string(script.lines[at].number) + ": ");
      }
      return last;
    }
    ++at;
  }
  return last;
}

Outcome Interpreter::run_line(const ScriptLine& line) {
  const std::vector<std::string_view> words = split_words(line.command);
  Outcome last;
  bool wanted = true;
  bool is_new = false;  // a failure of which nobody has been told
  for (std::size_t at = 0;;) {
    std::vector<std::string_view> command;
    while (at < words.size() && words[at] != "||" && words[at] != "&&" && words[at] != ";") {
      command.push_back(words[at++]);
    }
    if (wanted) {
      last = command.empty() ? Outcome{} : run_command(command);
      if (last.ends_line()) return last;
      is_new = last.kind == Outcome::Kind::failure;
    }
    if (at == words.size()) return last;
    const std::string_view joint = words[at++];
    const bool failed = last.kind == Outcome::Kind::failure;
    if (is_new && joint != "&&") {  // of a && b || c, c is what goes on after a has failed
      caught(line, last);
      is_new = false;
    }
    wanted = joint == ";" || (joint == "||") == failed;
  }
}

// A failure that the script goes on after.
void Interpreter::caught(const ScriptLine& line, const Outcome& failed) {
  if (failed.expected) return;
  const std::string where = url_.to_string();
  last_caught_ =
      (where == first_ ? "" : where + ": ") + "line " + std::to_string(line.number) + ": " + failed.message;
  host_.print(last_caught_);
  if (failed.not_understood) host_.guessed(last_caught_);
}

Outcome Interpreter::run_command(const std::vector<std::string_view>& words) {
  if (++steps_ > kStepsMax) {
    return halt("the script is still running after " + std::to_string(kStepsMax) + " commands");
  }
  std::vector<std::string> expanded;
  std::size_t total = 0;
  for (std::string_view word : words) {
    Result<std::string> text = expand(word, [this](std::string_view name) { return value_of(name); });
    if (!text) return halt(text.error().message);
    total += text->size();
    if (total > kExpansionMax)
      return halt("a command of more than " + std::to_string(kExpansionMax) + " bytes");
    expanded.push_back(std::move(*text));
  }
  const auto table = commands();
  const auto command =
      std::find_if(table.begin(), table.end(), [&](const Command& c) { return c.name == expanded[0]; });
  if (command == table.end()) return not_a_command(expanded[0]);
  const Result<Invocation> call = parse_invocation(std::move(expanded), command->options);
  if (!call) return not_understood(call.error().message);
  if (call->words.size() < command->words_min) return failure("'" + call->command + "' needs more words");
  if (call->words.size() > command->words_max) return failure("'" + call->command + "' has too many words");
  return (this->*command->handler)(*call);
}

Outcome Interpreter::not_a_command(const std::string& word) const {
  const std::string name = "'" + word.substr(0, 80) + "'";
  if (script_->labels.find(word) != script_->labels.end())
    return not_understood(name + " is a label and not a command (goto goes there)");
  return not_understood(name + " is not understood by the virtual boot ROM");
}

// [scope/]name[:type]; unset settings read as nothing.
Result<std::string> Interpreter::value_of(std::string_view name) {
  std::optional<SettingType> type;
  if (const std::size_t colon = name.rfind(':'); colon != std::string_view::npos) {
    type = setting_type(name.substr(colon + 1));
    if (!type)
      return fail("the type of the setting ${" + std::string(name.substr(0, 80)) + "} is not understood");
    name = name.substr(0, colon);
  }
  const std::optional<Setting> setting = lookup(name);
  return setting ? format_setting(setting->bytes, type.value_or(setting->type)) : std::string();
}

// What the script has set counts first, also of an interface if no interface is named.
std::optional<Setting> Interpreter::lookup(std::string_view name) {
  if (const auto own = settings_.find(name); own != settings_.end()) return own->second;
  const std::size_t slash = name.rfind('/');
  if (slash != std::string_view::npos) return host_.setting(name.substr(0, slash), name.substr(slash + 1));
  if (const auto own = settings_.find("net0/" + std::string(name)); own != settings_.end())
    return own->second;
  if (name == "cwuri") return Setting::text(url_.to_string());
  return host_.setting("", name);
}

Outcome Interpreter::store(const std::string& key, SettingType type, std::string_view text) {
  if (text.empty()) {
    settings_.erase(key);
    return {};
  }
  if (settings_.size() >= kSettingsMax && settings_.find(key) == settings_.end()) {
    return halt("more than " + std::to_string(kSettingsMax) + " settings");
  }
  Result<ByteBuffer> bytes = parse_setting(text, type);
  if (!bytes) return failure(bytes.error().message);
  settings_[key] = Setting{std::move(*bytes), type};
  return {};
}

BootChoice Interpreter::choice() {
  BootChoice choice;
  for (BootImage& image : images_) {
    if (image.name == selected_ && choice.kernel.name.empty()) {
      choice.kernel = std::move(image);
    } else {
      choice.initrds.push_back(std::move(image));
    }
  }
  return choice;
}

Result<ScriptEnd> run_script(std::string_view text, const BootUrl& url, ScriptHost& host) {
  Interpreter interpreter(host, url);
  Outcome end = interpreter.run(text, url);
  ScriptEnd result;
  result.last_caught = interpreter.last_caught();
  switch (end.kind) {
    case Outcome::Kind::boot:
      result.boot = interpreter.choice();
      return result;
    case Outcome::Kind::exit:
      result.exit_code = end.code;
      return result;
    case Outcome::Kind::power:
      result.power = end.again ? ScriptEnd::Power::restart : ScriptEnd::Power::off;
      result.power_line = std::move(end.message);
      return result;
    default:
      break;
  }
  if (result.last_caught.empty()) return fail(std::move(end.message));
  // A word on the way of an error is less than the error.
  if (end.not_understood) return fail(result.last_caught + "; then " + end.message);
  return fail(end.message + "; before that, " + result.last_caught);
}

}  // namespace rookery::ipxe
