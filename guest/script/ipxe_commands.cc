// The commands of boot scripts: the table that names them, and those of settings and control.
#include <charconv>

#include "guest/script/ipxe_interpreter.h"

namespace rookery::ipxe {
namespace {

constexpr std::size_t kAny = 1024;

constexpr Option kEcho[] = {{"n", 'n', false}};
constexpr Option kImage[] = {{"name", 'n', true}, {"timeout", 't', true}, {"autofree", 'a', false}};
constexpr Option kExtract[] = {
    {"name", 'n', true}, {"timeout", 't', true}, {"autofree", 'a', false}, {"keep", 'k', false}};
constexpr Option kExecute[] = {
    {"name", 'n', true}, {"timeout", 't', true}, {"autofree", 'a', false}, {"replace", 'r', false}};
constexpr Option kConfigure[] = {{"configurator", 'c', true}, {"timeout", 't', true}};
constexpr Option kTimeout[] = {{"timeout", 't', true}};
constexpr Option kCpuid[] = {{"ext", 'e', false}, {"ecx", 'c', false}};
constexpr Option kReboot[] = {{"warm", 'w', false}, {"setup", 's', false}};
constexpr Option kPrompt[] = {{"key", 'k', true}, {"timeout", 't', true}, {"set", 's', true}};
constexpr Option kMenu[] = {{"name", 'n', true}, {"delete", 'd', false}};
constexpr Option kItem[] = {
    {"menu", 'm', true}, {"key", 'k', true}, {"default", 'd', false}, {"gap", 'g', false}};
constexpr Option kChoose[] = {
    {"menu", 'm', true}, {"default", 'd', true}, {"timeout", 't', true}, {"keep", 'k', false}};
constexpr Option kParams[] = {{"name", 'n', true}, {"delete", 'd', false}};
constexpr Option kParam[] = {{"params", 'p', true}};
constexpr Option kConsole[] = {{"x", 'x', true},      {"y", 'y', true},       {"depth", 'd', true},
                               {"left", 'l', true},   {"right", 'r', true},   {"top", 't', true},
                               {"bottom", 'b', true}, {"picture", 'p', true}, {"keep", 'k', false}};
constexpr Option kColour[] = {{"basic", 'b', true}, {"rgb", 'r', true}};
constexpr Option kColourPair[] = {{"foreground", 'f', true}, {"background", 'b', true}};

}  // namespace

std::span<const Interpreter::Command> Interpreter::commands() {
  using I = Interpreter;
  static constexpr Command kTable[] = {
      {"echo", 0, kAny, kEcho, &I::echo},
      {"set", 1, kAny, {}, &I::set},
      {"clear", 1, 1, {}, &I::clear},
      {"inc", 1, 2, {}, &I::inc},
      {"show", 1, 1, {}, &I::show},
      {"isset", 1, 1, {}, &I::isset},
      {"iseq", 2, 2, {}, &I::iseq},
      {"cpuid", 1, 1, kCpuid, &I::cpuid},
      {"goto", 1, 1, {}, &I::go_to},
      {"sleep", 1, 1, {}, &I::sleep},
      {"exit", 0, 1, {}, &I::exit},
      {"reboot", 0, 0, kReboot, &I::power},
      {"poweroff", 0, 0, {}, &I::power},
      {"dhcp", 0, kAny, kConfigure, &I::dhcp},
      {"ifconf", 0, kAny, kConfigure, &I::dhcp},
      {"ifopen", 0, kAny, {}, &I::ifopen},
      {"ifclose", 0, kAny, {}, &I::ifopen},  // what it is for is over: the interface stays up
      {"iflinkwait", 0, kAny, kTimeout, &I::ifopen},
      {"ifstat", 0, kAny, {}, &I::ifstat},
      {"route", 0, 0, {}, &I::route},
      {"sync", 0, 0, kTimeout, &I::nothing},  // nothing goes on behind the script's back
      {"kernel", 1, kAny, kImage, &I::kernel},
      {"imgselect", 1, kAny, kImage, &I::kernel},
      {"imgload", 1, kAny, kImage, &I::kernel},  // gPXE's word
      {"initrd", 1, kAny, kImage, &I::initrd},
      {"imgfetch", 1, kAny, kImage, &I::initrd},
      {"module", 1, kAny, kImage, &I::initrd},
      {"imgextract", 1, kAny, kExtract, &I::initrd},
      {"imgargs", 1, kAny, {}, &I::imgargs},
      {"imgfree", 0, 1, {}, &I::imgfree},
      {"imgstat", 0, 0, {}, &I::imgstat},
      {"boot", 0, kAny, kExecute, &I::boot},
      {"imgexec", 0, kAny, kExecute, &I::boot},
      {"chain", 1, kAny, kExecute, &I::chain},
      {"params", 0, 0, kParams, &I::params},
      {"param", 1, kAny, kParam, &I::param},
      {"menu", 0, kAny, kMenu, &I::menu},
      {"item", 0, kAny, kItem, &I::item},
      {"choose", 1, 1, kChoose, &I::choose},
      {"prompt", 0, kAny, kPrompt, &I::prompt},
      {"read", 1, 1, {}, &I::asks_a_person},
      {"shell", 0, 0, {}, &I::asks_a_person},
      {"config", 0, 1, {}, &I::asks_a_person},
      {"login", 0, 0, {}, &I::asks_a_person},
      {"console", 0, 0, kConsole, &I::nothing},
      {"colour", 1, 1, kColour, &I::nothing},
      {"cpair", 1, 1, kColourPair, &I::nothing},
  };
  return kTable;
}

Result<std::uint32_t> parse_count(std::string_view text, std::uint32_t limit) {
  std::uint32_t value = 0;
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const std::string_view digits = text.substr(hex ? 2 : 0);
  const auto [end, problem] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
  if (problem != std::errc{} || end != digits.data() + digits.size() || value > limit) {
    return fail("'" + std::string(text.substr(0, 40)) + "' is not a number from 0 to " +
                std::to_string(limit));
  }
  return value;
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

Outcome Interpreter::show(const Invocation& call) {
  const Result<std::string> value = value_of(call.words[0]);
  if (!value) return failure(value.error().message);
  if (value->empty()) return failure("there is no setting '" + call.words[0].substr(0, 80) + "'");
  host_.print(call.words[0] + " = " + *value);
  return {};
}

Outcome Interpreter::isset(const Invocation& call) {
  if (!call.words[0].empty()) return {};
  return answer_no("'isset' found nothing");
}

Outcome Interpreter::iseq(const Invocation& call) {
  if (call.words[0] == call.words[1]) return {};
  return answer_no("'iseq': '" + call.words[0].substr(0, 80) + "' is not '" + call.words[1].substr(0, 80) +
                   "'");
}

Outcome Interpreter::cpuid(const Invocation& call) {
  const Result<std::uint32_t> bit = parse_count(call.words[0], 31);
  if (!bit) return failure(bit.error().message);
  if ((host_.cpu_features(call.has('e'), call.has('c')) >> *bit & 1) != 0) return {};
  return answer_no("'cpuid': the processor has no feature " + std::to_string(*bit));
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
  return wait(std::chrono::seconds(*seconds));
}

// Who waits does not run away, however often it does.
Outcome Interpreter::wait(Duration duration) {
  const Status slept = host_.sleep(duration);
  if (slept && duration >= std::chrono::seconds(1)) steps_ = 0;
  return from(slept);
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

Outcome Interpreter::power(const Invocation& call) {
  Outcome outcome{Outcome::Kind::power, call.command};
  outcome.again = call.command == "reboot";
  return outcome;
}

// What there is nothing to do for, here.
Outcome Interpreter::nothing(const Invocation&) {
  return {};
}

}  // namespace rookery::ipxe
