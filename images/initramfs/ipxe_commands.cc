// The commands of boot scripts, and the table that names them.
#include <algorithm>
#include <charconv>

#include "images/initramfs/ipxe_interpreter.h"

namespace rookery::ipxe {
namespace {

constexpr std::size_t kAny = 1024;

Result<std::uint32_t> parse_count(const std::string& text, std::uint32_t limit) {
  std::uint32_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || value > limit) {
    return fail("'" + text.substr(0, 40) + "' is not a number from 0 to " + std::to_string(limit));
  }
  return value;
}

}  // namespace

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
  const std::string arguments = call.joined(1);
  BootImage* image = find_image(reference);
  if (image == nullptr) {
    if (images_.size() >= kImagesMax) return fail("more than " + std::to_string(kImagesMax) + " images");
    const Result<BootUrl> url = resolve_url(url_, reference);
    if (!url) return tl::unexpected(url.error());
    Result<std::string> handle = host_.fetch_image(*url, use, arguments);
    if (!handle) return fail("cannot fetch " + url->to_string() + ": " + handle.error().message);
    images_.push_back(BootImage{url->file_name(), *url, use, std::move(*handle), ""});
    image = &images_.back();
  }
  if (const auto name = call.options.find('n'); name != call.options.end()) image->name = name->second;
  if (!arguments.empty()) image->arguments = arguments;
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

}  // namespace rookery::ipxe
