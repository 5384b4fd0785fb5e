// How it works: ScriptText cuts the script into lines; Interpreter::run walks them, splits each into commands
// at ; && and ||, expands the words of one command and looks it up in kCommands. Every command gives an
// Outcome. A failure is subject to ||, a Halt (a limit was hit) is not. `chain` runs another script in the
// same Interpreter, so that settings, images and the step limit are those of the whole boot.
#include "images/initramfs/ipxe_script.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "images/initramfs/ipxe_text.h"

namespace rookery::ipxe {
namespace {

struct Outcome {
  enum class Kind { success, failure, go_to, exit, boot, halt };
  Kind kind = Kind::success;
  std::string message{};   // of a failure or halt
  bool expected = false;   // a failure that is an answer (isset, iseq): not worth a line on the console
  std::size_t target = 0;  // go_to: index of the line
  unsigned code = 0;       // exit

  bool ends_line() const { return kind != Kind::success && kind != Kind::failure; }
};

Outcome failure(std::string message) {
  return Outcome{Outcome::Kind::failure, std::move(message)};
}
Outcome halt(std::string message) {
  return Outcome{Outcome::Kind::halt, std::move(message)};
}
Outcome from(const Status& status) {
  return status ? Outcome{} : failure(status.error().message);
}

struct Option {
  std::string_view name;
  char letter;
  bool has_value;
};

struct Invocation {
  std::vector<std::string> words;       // after the command's name and options
  std::map<char, std::string> options;  // by letter
  std::string command;

  std::string joined(std::size_t first) const {
    std::string text;
    for (std::size_t i = first; i < words.size(); ++i) (text += i > first ? " " : "") += words[i];
    return text;
  }
};

class Interpreter {
 public:
  explicit Interpreter(ScriptHost& host) : host_(host) {}

  // The end of one script, chained ones included: exit, boot, halt or failure.
  Outcome run(std::string_view text, const BootUrl& url);
  BootChoice choice();
  const std::string& last_caught() const { return last_caught_; }

 private:
  struct Command {
    std::string_view name;
    std::size_t words_min, words_max;
    std::vector<Option> options;
    Outcome (Interpreter::*handler)(const Invocation&);
  };
  static const std::vector<Command>& commands();

  Outcome run_line(const ScriptLine& line);
  Outcome run_command(const std::vector<std::string_view>& words);
  Result<std::string> value_of(std::string_view name);

  Outcome echo(const Invocation& call);
  Outcome set(const Invocation& call);
  Outcome clear(const Invocation& call);
  Outcome inc(const Invocation& call);
  Outcome isset(const Invocation& call);
  Outcome iseq(const Invocation& call);
  Outcome go_to(const Invocation& call);
  Outcome sleep(const Invocation& call);
  Outcome exit(const Invocation& call);
  Outcome dhcp(const Invocation& call);
  Outcome ifopen(const Invocation& call);
  Outcome kernel(const Invocation& call);
  Outcome initrd(const Invocation& call);
  Outcome imgargs(const Invocation& call);
  Outcome imgfree(const Invocation& call);
  Outcome boot(const Invocation& call);
  Outcome chain(const Invocation& call);

  BootImage* find_image(std::string_view name);
  Result<BootImage*> acquire(const Invocation& call, ImageUse use);
  Outcome store(const std::string& key, SettingType type, std::string_view text);

  ScriptHost& host_;
  std::map<std::string, Setting, std::less<>> settings_;
  std::vector<BootImage> images_;
  std::string selected_;  // name of the kernel
  std::string last_caught_;
  std::size_t steps_ = 0;
  std::size_t depth_ = 0;
  // Of the script that is running:
  const ScriptText* script_ = nullptr;
  BootUrl url_;
};

constexpr std::size_t kAny = 1024;

const std::vector<Interpreter::Command>& Interpreter::commands() {
  using I = Interpreter;
  static const std::vector<Option> none;
  static const std::vector<Option> image{
      {"name", 'n', true}, {"timeout", 't', true}, {"autofree", 'a', false}};
  static const std::vector<Option> execute{
      {"name", 'n', true}, {"timeout", 't', true}, {"autofree", 'a', false}, {"replace", 'r', false}};
  static const std::vector<Option> configure{{"configurator", 'c', true}, {"timeout", 't', true}};
  static const std::vector<Command> table{
      {"echo", 0, kAny, {{"n", 'n', false}}, &I::echo},
      {"set", 1, kAny, none, &I::set},
      {"clear", 1, 1, none, &I::clear},
      {"inc", 1, 2, none, &I::inc},
      {"isset", 1, 1, none, &I::isset},
      {"iseq", 2, 2, none, &I::iseq},
      {"goto", 1, 1, none, &I::go_to},
      {"sleep", 1, 1, none, &I::sleep},
      {"exit", 0, 1, none, &I::exit},
      {"dhcp", 0, kAny, configure, &I::dhcp},
      {"ifconf", 0, kAny, configure, &I::dhcp},
      {"ifopen", 0, kAny, none, &I::ifopen},
      {"kernel", 1, kAny, image, &I::kernel},
      {"imgselect", 1, kAny, image, &I::kernel},
      {"initrd", 1, kAny, image, &I::initrd},
      {"imgfetch", 1, kAny, image, &I::initrd},
      {"module", 1, kAny, image, &I::initrd},
      {"imgargs", 1, kAny, none, &I::imgargs},
      {"imgfree", 0, 1, none, &I::imgfree},
      {"boot", 0, kAny, execute, &I::boot},
      {"imgexec", 0, kAny, execute, &I::boot},
      {"chain", 1, kAny, execute, &I::chain},
  };
  return table;
}

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

Result<std::uint32_t> parse_count(const std::string& text, std::uint32_t limit) {
  std::uint32_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || value > limit) {
    return fail("'" + text.substr(0, 40) + "' is not a number from 0 to " + std::to_string(limit));
  }
  return value;
}

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

Outcome Interpreter::echo(const Invocation& call) {
  host_.print(call.joined(0));
  return {};
}

Outcome Interpreter::set(const Invocation& call) {
  const std::string& name = call.words[0];
  const std::size_t colon = name.rfind(':');
  SettingType type = SettingType::string;
  if (colon != std::string::npos) {
    const auto named = setting_type(std::string_view(name).substr(colon + 1));
    if (!named) return failure("the type of the setting '" + name.substr(0, 80) + "' is not understood");
    type = *named;
  }
  return store(name.substr(0, colon), type, call.joined(1));
}

Outcome Interpreter::clear(const Invocation& call) {
  settings_.erase(call.words[0].substr(0, call.words[0].rfind(':')));
  return {};
}

Outcome Interpreter::inc(const Invocation& call) {
  const std::string name = call.words[0].substr(0, call.words[0].rfind(':'));
  std::uint32_t amount = 1;
  if (call.words.size() == 2) {
    const Result<std::uint32_t> given = parse_count(call.words[1], 0x7fffffff);
    if (!given) return failure(given.error().message);
    amount = *given;
  }
  std::uint32_t value = 0;
  if (const auto own = settings_.find(name); own != settings_.end()) {
    const Setting& setting = own->second;
    Result<ByteBuffer> bytes = setting.bytes;
    if (setting.type == SettingType::string)
      bytes = parse_setting(as_text(setting.bytes), SettingType::int32);
    if (!bytes) return failure(bytes.error().message);
    for (std::uint8_t byte : *bytes) value = value << 8 | byte;
  }
  return store(name, SettingType::int32, std::to_string(static_cast<std::int32_t>(value + amount)));
}

Outcome Interpreter::isset(const Invocation& call) {
  if (!call.words[0].empty()) return {};
  return Outcome{Outcome::Kind::failure, "'isset' found nothing", true};
}

Outcome Interpreter::iseq(const Invocation& call) {
  if (call.words[0] == call.words[1]) return {};
  return Outcome{Outcome::Kind::failure,
                 "'iseq': '" + call.words[0].substr(0, 80) + "' is not '" + call.words[1].substr(0, 80) + "'",
                 true};
}

Outcome Interpreter::go_to(const Invocation& call) {
  const auto label = script_->labels.find(call.words[0]);
  if (label == script_->labels.end())
    return failure("there is no label ':" + call.words[0].substr(0, 80) + "'");
  Outcome outcome{Outcome::Kind::go_to};
  outcome.target = label->second;
  return outcome;
}

Outcome Interpreter::sleep(const Invocation& call) {
  const Result<std::uint32_t> seconds = parse_count(call.words[0], kSleepMaxSeconds);
  if (!seconds) return failure(seconds.error().message);
  return from(host_.sleep(std::chrono::seconds(*seconds)));
}

Outcome Interpreter::exit(const Invocation& call) {
  Outcome outcome{Outcome::Kind::exit};
  if (!call.words.empty()) {
    const Result<std::uint32_t> code = parse_count(call.words[0], 0x7fffffff);
    if (!code) return failure(code.error().message);
    outcome.code = *code;
  }
  return outcome;
}

Outcome Interpreter::dhcp(const Invocation& call) {
  // Several interfaces: the first that works, as in iPXE.
  if (call.words.empty()) return from(host_.bring_up("", true));
  Outcome last;
  for (const std::string& interface : call.words) {
    last = from(host_.bring_up(interface, true));
    if (last.kind == Outcome::Kind::success) break;
  }
  return last;
}

Outcome Interpreter::ifopen(const Invocation& call) {
  if (call.words.empty()) return from(host_.bring_up("", false));
  for (const std::string& interface : call.words) {
    if (Outcome one = from(host_.bring_up(interface, false)); one.kind != Outcome::Kind::success) return one;
  }
  return {};
}

BootImage* Interpreter::find_image(std::string_view name) {
  const auto found = std::find_if(images_.begin(), images_.end(),
                                  [&](const BootImage& image) { return image.name == name; });
  return found == images_.end() ? nullptr : &*found;
}

// The image of that name if there is one, and otherwise what the address gives.
Result<BootImage*> Interpreter::acquire(const Invocation& call, ImageUse use) {
  const std::string& reference = call.words[0];
  BootImage* image = find_image(reference);
  if (image == nullptr) {
    if (images_.size() >= kImagesMax) return fail("more than " + std::to_string(kImagesMax) + " images");
    const Result<BootUrl> url = resolve_url(url_, reference);
    if (!url) return tl::unexpected(url.error());
    Result<std::string> handle = host_.fetch_image(*url, use);
    if (!handle) return fail("cannot fetch " + url->to_string() + ": " + handle.error().message);
    images_.push_back(BootImage{url->file_name(), *url, use, std::move(*handle), ""});
    image = &images_.back();
  }
  if (const auto name = call.options.find('n'); name != call.options.end()) image->name = name->second;
  if (call.words.size() > 1) image->arguments = call.joined(1);
  return image;
}

Outcome Interpreter::kernel(const Invocation& call) {
  const Result<BootImage*> image = acquire(call, ImageUse::kernel);
  if (!image) return failure(image.error().message);
  selected_ = (*image)->name;
  return {};
}

Outcome Interpreter::initrd(const Invocation& call) {
  const Result<BootImage*> image = acquire(call, ImageUse::initrd);
  return image ? Outcome{} : failure(image.error().message);
}

Outcome Interpreter::imgargs(const Invocation& call) {
  BootImage* const image = find_image(call.words[0]);
  if (image == nullptr) return failure("there is no image '" + call.words[0].substr(0, 80) + "'");
  image->arguments = call.joined(1);
  return {};
}

Outcome Interpreter::imgfree(const Invocation& call) {
  if (call.words.empty()) {
    images_.clear();
    return {};
  }
  const BootImage* const image = find_image(call.words[0]);
  if (image == nullptr) return failure("there is no image '" + call.words[0].substr(0, 80) + "'");
  images_.erase(images_.begin() + (image - images_.data()));
  return {};
}

Outcome Interpreter::boot(const Invocation& call) {
  if (!call.words.empty()) {
    if (Outcome selected = kernel(call); selected.kind != Outcome::Kind::success) return selected;
  }
  const BootImage* const image = selected_.empty() ? nullptr : find_image(selected_);
  if (image == nullptr) return failure("there is no kernel to boot");
  if (image->arguments.size() >= kCommandLineMax) {
    return failure("the kernel's arguments exceed " + std::to_string(kCommandLineMax) + " bytes");
  }
  return Outcome{Outcome::Kind::boot};
}

Outcome Interpreter::chain(const Invocation& call) {
  if (depth_ + 1 >= kChainDepthMax) {
    return halt("scripts chained more than " + std::to_string(kChainDepthMax) + " deep");
  }
  const Result<BootUrl> url = resolve_url(url_, call.words[0]);
  if (!url) return failure(url.error().message);
  const Result<std::string> text = host_.fetch_script(*url);
  if (!text) return failure("cannot fetch " + url->to_string() + ": " + text.error().message);
  if (!is_script(*text)) return failure(url->to_string() + " is not an iPXE script");
  const bool replaces = call.options.count('r') != 0;
  depth_ += 1;
  Outcome end = run(*text, *url);
  depth_ -= 1;
  if (!end.message.empty()) end.message.insert(0, url->to_string() + ": ");
  if (end.kind != Outcome::Kind::exit || replaces) {
    // --replace: the chaining script is gone, so its || never sees the failure.
    if (replaces && end.kind == Outcome::Kind::failure) end.kind = Outcome::Kind::halt;
    return end;
  }
  return end.code == 0 ? Outcome{} : failure(url->to_string() + ": exit " + std::to_string(end.code));
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

}  // namespace

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
