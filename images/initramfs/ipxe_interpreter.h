// The machine behind run_script (ipxe_script.h), shared by the file that runs lines and the file of the
// commands. One Interpreter lives for one boot: chained scripts run in it, too.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "images/initramfs/ipxe_script.h"
#include "images/initramfs/ipxe_text.h"

namespace rookery::ipxe {

// What became of a command, a line or a script. A failure is subject to ||, a halt (a limit was hit) is not.
struct Outcome {
  enum class Kind { success, failure, go_to, exit, boot, halt };
  Kind kind = Kind::success;
  std::string message{};   // of a failure or halt
  bool expected = false;   // a failure that is an answer (isset, iseq): not worth a line on the console
  std::size_t target = 0;  // go_to: index of the line
  unsigned code = 0;       // exit

  bool ends_line() const { return kind != Kind::success && kind != Kind::failure; }
};

inline Outcome failure(std::string message) {
  return Outcome{Outcome::Kind::failure, std::move(message)};
}
inline Outcome halt(std::string message) {
  return Outcome{Outcome::Kind::halt, std::move(message)};
}
inline Outcome from(const Status& status) {
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

}  // namespace rookery::ipxe
