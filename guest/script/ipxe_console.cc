// The commands of boot scripts that are about the network and about whoever sits at the console: nobody.
#include <algorithm>

#include "guest/script/ipxe_interpreter.h"

namespace rookery::ipxe {
namespace {

// Of an option in milliseconds; zero, or no option: none.
Result<Duration> timeout_of(const Invocation& call) {
  const auto option = call.options.find('t');
  if (option == call.options.end()) return Duration{};
  const Result<std::uint32_t> value = parse_count(option->second, kTimeoutMaxMilliseconds);
  if (!value) return tl::unexpected(value.error());
  return std::chrono::milliseconds(*value);
}

std::string menu_name(const Invocation& call, char letter) {
  const auto option = call.options.find(letter);
  return option == call.options.end() ? std::string() : option->second;
}

}  // namespace

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

Outcome Interpreter::ifstat(const Invocation& call) {
  for (const std::string& interface : call.words) {
    if (Outcome one = from(host_.bring_up(interface, false)); one.kind != Outcome::Kind::success) return one;
  }
  host_.print("net0: " + value_of("net0/mac").value_or("") + " (open)");
  return {};
}

Outcome Interpreter::route(const Invocation&) {
  const auto text = [this](std::string_view name) { return value_of(name).value_or(""); };
  const std::string gateway = text("net0/gateway");
  host_.print("net0: " + text("net0/ip") + "/" + text("net0/netmask") +
              (gateway.empty() ? "" : " gw " + gateway));
  return {};
}

// Nobody presses the key: the time passes, and the answer is no.
Outcome Interpreter::prompt(const Invocation& call) {
  const Result<Duration> timeout = timeout_of(call);
  if (!timeout) return failure(timeout.error().message);
  host_.print(call.joined(0));
  if (timeout->count() == 0) return asks_a_person(call);
  if (Outcome waited = wait(*timeout); waited.kind != Outcome::Kind::success) return waited;
  return answer_no("'prompt': nobody pressed a key");
}

Outcome Interpreter::asks_a_person(const Invocation& call) {
  const bool could_end = call.command == "prompt" || call.command == "choose";
  return halt("'" + call.command + "' waits for a person, and nobody is at the console" +
              (could_end ? "; with --timeout it goes on by itself" : ""));
}

Outcome Interpreter::menu(const Invocation& call) {
  const std::string name = menu_name(call, 'n');
  menus_.erase(name);
  if (call.has('d')) return {};
  if (menus_.size() >= kMenusMax) return halt("more than " + std::to_string(kMenusMax) + " menus");
  menus_[name].title = call.joined(0);
  return {};
}

Outcome Interpreter::item(const Invocation& call) {
  const auto menu = menus_.find(menu_name(call, 'm'));
  if (menu == menus_.end()) return failure("there is no menu for this item");
  if (menu->second.items.size() >= kMenuItemsMax)
    return halt("more than " + std::to_string(kMenuItemsMax) + " items in a menu");
  const bool has_label = !call.has('g') && !call.words.empty();
  menu->second.items.push_back(
      {has_label ? call.words[0] : "", call.joined(has_label ? 1 : 0), call.has('d')});
  return {};
}

// After the time that a person would have had: the default of `choose`, of the items, or the first.
Outcome Interpreter::choose(const Invocation& call) {
  const auto menu = menus_.find(menu_name(call, 'm'));
  if (menu == menus_.end()) return failure("there is no menu to choose from");
  const Result<Duration> timeout = timeout_of(call);
  if (!timeout) return failure(timeout.error().message);
  const std::string wanted = menu_name(call, 'd');
  const Item* chosen = nullptr;
  int best = 0;
  if (!menu->second.title.empty()) host_.print(menu->second.title);
  for (const Item& item : menu->second.items) {
    host_.print("  " + item.label + (item.label.empty() ? "" : "  ") + item.text);
    const int fits = item.label.empty() ? 0 : item.label == wanted ? 3 : item.is_default ? 2 : 1;
    if (fits > best) {
      best = fits;
      chosen = &item;
    }
  }
  if (chosen == nullptr) return failure("the menu has no item that could be chosen");
  if (timeout->count() == 0) return asks_a_person(call);
  if (Outcome waited = wait(*timeout); waited.kind != Outcome::Kind::success) return waited;
  const std::string label = chosen->label;
  host_.print("nobody chose: " + label);
  if (!call.has('k')) menus_.erase(menu);
  const std::string& name = call.words[0];
  return store(name.substr(0, name.rfind(':')), SettingType::string, label);
}

}  // namespace rookery::ipxe
