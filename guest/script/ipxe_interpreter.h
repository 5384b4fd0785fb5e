// The machine behind run_script (ipxe_script.h), shared by the file that runs lines and the file of the
// commands. One Interpreter lives for one boot: chained scripts run in it, too.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guest/script/ipxe_script.h"
#include "guest/script/ipxe_text.h"

namespace rookery::ipxe {

// What became of a command, a line or a script. A failure is subject to ||, a halt (a limit was hit, or a
// person would have to answer) is not.
struct Outcome {
  enum class Kind { success, failure, go_to, exit, boot, replace, power, halt };
  Kind kind = Kind::success;
  std::string message{};        // of a failure, halt or power
  bool expected = false;        // a failure that is an answer (isset, iseq): not worth a line on the console
  bool not_understood = false;  // a failure for want of knowing the word: what || makes of it is a guess
  std::size_t target = 0;       // go_to: index of the line
  unsigned code = 0;            // exit
  bool again = false;           // power: off and on, and not only off
  std::string text{};           // replace: the script that takes this one's place, and where it is from
  BootUrl url{};

  bool ends_line() const { return kind != Kind::success && kind != Kind::failure; }
};

inline Outcome failure(std::string message) {
  return Outcome{Outcome::Kind::failure, std::move(message)};
}
// A failure that answers a question of the script's.
inline Outcome answer_no(std::string message) {
  return Outcome{Outcome::Kind::failure, std::move(message), true};
}
inline Outcome not_understood(std::string message) {
  return Outcome{Outcome::Kind::failure, std::move(message), false, true};
}
inline Outcome halt(std::string message) {
  return Outcome{Outcome::Kind::halt, std::move(message)};
}
inline Outcome from(const Status& status) {
  return status ? Outcome{} : failure(status.error().message);
}

// What a person writes as a number: decimal, or hexadecimal behind 0x.
Result<std::uint32_t> parse_count(std::string_view text, std::uint32_t limit);

struct Option {
  std::string_view name;
  char letter;
  bool has_value;
};

struct Invocation {
  std::vector<std::string> words;       // after the command's name and options
  std::map<char, std::string> options;  // by letter
  std::string command;

  bool has(char letter) const { return options.count(letter) != 0; }
  std::string joined(std::size_t first) const {
    std::string text;
    for (std::size_t i = first; i < words.size(); ++i) (text += i > first ? " " : "") += words[i];
    return text;
  }
};

class Interpreter {
 public:
  Interpreter(ScriptHost& host, const BootUrl& first) : host_(host), first_(first.to_string()) {}

  // The end of one script, chained ones included: exit, boot, power, halt or failure.
  Outcome run(std::string_view text, const BootUrl& url);
  BootChoice choice();
  const std::string& last_caught() const { return last_caught_; }

 private:
  struct Command {
    std::string_view name;
    std::size_t words_min, words_max;
    std::span<const Option> options;
    Outcome (Interpreter::*handler)(const Invocation&);
  };
  static std::span<const Command> commands();

  Outcome run_lines(const ScriptText& script);
  Outcome run_line(const ScriptLine& line);
  Outcome run_command(const std::vector<std::string_view>& words);
  void caught(const ScriptLine& line, const Outcome& failed);
  Result<std::string> value_of(std::string_view name);
  std::optional<Setting> lookup(std::string_view name);
  Outcome not_a_command(const std::string& word) const;

  // Settings and control (ipxe_commands.cc)
  Outcome echo(const Invocation& call);
  Outcome set(const Invocation& call);
  Outcome clear(const Invocation& call);
  Outcome inc(const Invocation& call);
  Outcome show(const Invocation& call);
  Outcome isset(const Invocation& call);
  Outcome iseq(const Invocation& call);
  Outcome cpuid(const Invocation& call);
  Outcome go_to(const Invocation& call);
  Outcome sleep(const Invocation& call);
  Outcome exit(const Invocation& call);
  Outcome wait(Duration duration);
  Outcome power(const Invocation& call);
  Outcome nothing(const Invocation& call);
  // The network and who sits at the console (ipxe_console.cc)
  Outcome dhcp(const Invocation& call);
  Outcome ifopen(const Invocation& call);
  Outcome ifstat(const Invocation& call);
  Outcome route(const Invocation& call);
  Outcome prompt(const Invocation& call);
  Outcome menu(const Invocation& call);
  Outcome item(const Invocation& call);
  Outcome choose(const Invocation& call);
  Outcome asks_a_person(const Invocation& call);
  // Images (ipxe_images.cc)
  Outcome kernel(const Invocation& call);
  Outcome initrd(const Invocation& call);
  Outcome imgargs(const Invocation& call);
  Outcome imgfree(const Invocation& call);
  Outcome imgstat(const Invocation& call);
  Outcome boot(const Invocation& call);
  Outcome chain(const Invocation& call);
  Outcome params(const Invocation& call);
  Outcome param(const Invocation& call);

  struct Item {
    std::string label, text;  // no label: it cannot be chosen
    bool is_default = false;
  };
  struct Menu {
    std::string title;
    std::vector<Item> items;
  };
  struct Target {
    BootUrl url;
    FetchOptions options;
  };

  BootImage* find_image(std::string_view name);
  void forget_image(const BootImage* image);
  Result<Target> target_of(const Invocation& call);
  Result<BootImage*> acquire(const Invocation& call, ImageUse use);
  Outcome store(const std::string& key, SettingType type, std::string_view text);

  ScriptHost& host_;
  std::string first_;  // where the first script is from
  std::map<std::string, Setting, std::less<>> settings_;
  std::map<std::string, Menu, std::less<>> menus_;         // by name, mostly ""
  std::map<std::string, std::string, std::less<>> forms_;  // params: by name, as they are sent
  std::vector<BootImage> images_;
  std::string selected_;  // name of the kernel
  std::string last_caught_;
  std::size_t steps_ = 0;
  std::size_t depth_ = 0;
  // Of the script that is running:
  const ScriptText* script_ = nullptr;
  BootUrl url_;
};

}  // namespace rookery::ipxe
