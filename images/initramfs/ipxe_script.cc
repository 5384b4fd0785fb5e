// How it works: ScriptText cuts the script into lines; Interpreter::run walks them, splits each into commands
// at ; && and ||, expands the words of one command and looks it up in commands(). Every command gives an
// Outcome. A failure is subject to ||, a Halt (a limit was hit) is not. `chain` runs another script in the
// same Interpreter, so that settings, images and the step limit are those of the whole boot.
#include "images/initramfs/ipxe_script.h"

#include <algorithm>
#include <utility>

#include "images/initramfs/ipxe_interpreter.h"

namespace rookery::ipxe {
namespace {

// Takes the options off the front of the words, as getopt without reordering does.
Result<Invocation> parse_invocation(std::vector<std::string> words, const std::vector<Option>& options) {
  Invocation call;
  call.command = words[0];
  std::size_t at = 1;
  for (; at < words.size() && words[at].size() > 1 && words[at][0] == '-'; ++at) {
    std::string_view word = words[at];
    if (word == "--") {
      ++at;
      break;
    }
    const bool is_long = word[1] == '-';
    word.remove_prefix(is_long ? 2 : 1);
    const std::size_t equals = is_long ? word.find('=') : std::min<std::size_t>(1, word.size());
    const std::string_view name = word.substr(0, equals);
    const auto option = std::find_if(options.begin(), options.end(), [&](const Option& o) {
      return is_long ? o.name == name : o.letter == name[0];
    });
    if (option == options.end()) {
      return fail("'" + call.command + "' has no option " + words[at].substr(0, 40));
    }
    std::string_view value =
        equals < word.size() ? word.substr(equals + (is_long ? 1 : 0)) : std::string_view{};
    if (option->has_value && equals >= word.size()) {
      if (++at == words.size()) return fail("the option " + words[at - 1] + " needs a value");
      value = words[at];
    } else if (!option->has_value && equals < word.size()) {
      return fail("the option " + words[at] + " takes no value");
    }
    call.options[option->letter] = value;
  }
  call.words.assign(std::make_move_iterator(words.begin() + static_cast<std::ptrdiff_t>(at)),
                    std::make_move_iterator(words.end()));
  return call;
}

}  // namespace

Outcome Interpreter::run(std::string_view text, const BootUrl& url) {
  Result<ScriptText> script = ScriptText::parse(text);
  if (!script) return failure(script.error().message);
  const ScriptText* const outer_script = std::exchange(script_, &*script);
  const BootUrl outer_url = std::exchange(url_, url);
  Outcome last;
  for (std::size_t at = 0; at < script->lines.size();) {
    last = run_line(script->lines[at]);
    if (last.kind == Outcome::Kind::go_to) {
      at = last.target;
      continue;
    }
    if (last.kind != Outcome::Kind::success) {
      if (!last.message.empty()) {
        last.message.insert(0, "line " + std::to_string(script->lines[at].number) + ": ");
      }
      break;
    }
    ++at;
  }
  script_ = outer_script;
  url_ = outer_url;
  if (last.kind == Outcome::Kind::success) last.kind = Outcome::Kind::exit;
  return last;
}

Outcome Interpreter::run_line(const ScriptLine& line) {
  const std::vector<std::string_view> words = split_words(line.command);
  Outcome last;
  bool wanted = true;
  for (std::size_t at = 0;;) {
    std::vector<std::string_view> command;
    while (at < words.size() && words[at] != "||" && words[at] != "&&" && words[at] != ";") {
      command.push_back(words[at++]);
    }
    if (wanted) {
      last = command.empty() ? Outcome{} : run_command(command);
      if (last.ends_line()) return last;
    }
    if (at == words.size()) return last;
    const std::string_view joint = words[at++];
    const bool failed = last.kind == Outcome::Kind::failure;
    if (wanted && failed && joint != "&&" && !last.expected) {
      last_caught_ = "line " + std::to_string(line.number) + ": " + last.message;
      host_.print(last_caught_);
    }
    wanted = joint == ";" || (joint == "||") == failed;
  }
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
  const auto& table = commands();
  const auto command =
      std::find_if(table.begin(), table.end(), [&](const Command& c) { return c.name == expanded[0]; });
  if (command == table.end()) {
    return failure("'" + expanded[0].substr(0, 80) + "' is not understood by the virtual boot ROM");
  }
  const Result<Invocation> call = parse_invocation(std::move(expanded), command->options);
  if (!call) return failure(call.error().message);
  if (call->words.size() < command->words_min) return failure("'" + call->command + "' needs more words");
  if (call->words.size() > command->words_max) return failure("'" + call->command + "' has too many words");
  return (this->*command->handler)(*call);
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
  std::optional<Setting> setting;
  if (const auto own = settings_.find(name); own != settings_.end()) {
    setting = own->second;
  } else {
    const std::size_t slash = name.rfind('/');
    const bool scoped = slash != std::string_view::npos;
    setting = host_.setting(scoped ? name.substr(0, slash) : "", scoped ? name.substr(slash + 1) : name);
  }
  return setting ? format_setting(setting->bytes, type.value_or(setting->type)) : std::string();
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
  Interpreter interpreter(host);
  Outcome end = interpreter.run(text, url);
  switch (end.kind) {
    case Outcome::Kind::boot:
      return ScriptEnd{interpreter.choice(), 0, interpreter.last_caught()};
    case Outcome::Kind::exit:
      return ScriptEnd{std::nullopt, end.code, interpreter.last_caught()};
    default:
      return fail(std::move(end.message));
  }
}

}  // namespace rookery::ipxe
