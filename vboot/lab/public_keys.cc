// Public keys for SSH, as authorized_keys has them (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/bytes.h"
#include "vboot/lab/nearest_word.h"
#include "vboot/lab/side_files.h"
#include "vboot/lab/side_text.h"

namespace rookery::vboot {
namespace {

constexpr std::string_view kBlanks = " \t";
// What OpenSSH 9.2 takes, certificates aside.
constexpr std::array<std::string_view, 7> kKeyTypes{"ssh-ed25519",
                                                    "ssh-rsa",
                                                    "ecdsa-sha2-nistp256",
                                                    "ecdsa-sha2-nistp384",
                                                    "ecdsa-sha2-nistp521",
                                                    "sk-ssh-ed25519@openssh.com",
                                                    "sk-ecdsa-sha2-nistp256@openssh.com"};
// A key with an option that its sshd does not know is none to it, and nobody is told.
constexpr std::array<std::string_view, 16> kFlags{
    "agent-forwarding", "cert-authority",    "no-agent-forwarding", "no-port-forwarding", "no-pty",
    "no-user-rc",       "no-x11-forwarding", "no-touch-required",   "port-forwarding",    "pty",
    "restrict",         "user-rc",           "verify-required",     "no-verify-required", "x11-forwarding",
    "touch-required"};
constexpr std::array<std::string_view, 8> kWithValue{"command",      "environment", "expiry-time", "from",
                                                     "permitlisten", "permitopen",  "principals",  "tunnel"};

bool is_key_type(std::string_view word) {
  return std::find(kKeyTypes.begin(), kKeyTypes.end(), word) != kKeyTypes.end();
}

template <typename Words>
bool is_among(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string_view take_word(std::string_view& rest) {
  const std::size_t end = std::min(rest.find_first_of(kBlanks), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks, end), rest.size()));
  return word;
}

// Takes the options off the front: words with commas between them, each perhaps with a value in double
// quotes. What is wrong with them; empty: nothing, or there are none.
std::string take_options(std::string_view& rest) {
  const std::string_view line = rest;
  for (;;) {
    const std::size_t end = std::min(rest.find_first_of(" \t,="), rest.size());
    std::string word(rest.substr(0, end));
    for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool has_value = end < rest.size() && rest[end] == '=';
    if (!is_among(kFlags, word) && !is_among(kWithValue, word)) {
      // The first word of a line that is no key at all, or a type that is not taken, is no option either.
      const bool is_type = word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-");
      if (is_type || line.find("AAAA") == std::string_view::npos) {
        rest = line;
        return {};
      }
      std::vector<std::string_view> known(kFlags.begin(), kFlags.end());
      known.insert(known.end(), kWithValue.begin(), kWithValue.end());
      return fmt::format("sshd knows no option '{}' of a key{}", shown(word),
                         suggestion(word, known, "options"));
    }
    if (has_value != is_among(kWithValue, word)) {
      return has_value ? fmt::format("the option '{}' of a key takes no value", word)
                       : fmt::format("the option '{}' of a key needs a value in double quotes", word);
    }
    rest.remove_prefix(end);
    if (has_value) {
      rest.remove_prefix(1);
      if (!rest.starts_with('"'))
        return fmt::format("the value of the option '{}' of a key stands in double quotes", word);
      std::size_t quote = 1;
      while (quote < rest.size() && rest[quote] != '"') quote += rest[quote] == '\\' ? 2 : 1;
      if (quote >= rest.size()) return fmt::format("the value of the option '{}' of a key has no end", word);
      rest.remove_prefix(quote + 1);
    }
    if (!rest.starts_with(',')) break;
    rest.remove_prefix(1);
  }
  if (!rest.empty() && kBlanks.find(rest.front()) == std::string_view::npos)
    return fmt::format("expected a blank behind the options of the key, found '{}'", shown(rest));
  rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
  return {};
}

// A key is a list of strings, each behind its length, of which the type's name is the first (RFC 4253 §6.6,
// RFC 4251 §5).
bool key_says(std::string_view base64, std::string_view type) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string start;
  std::uint32_t bits = 0;
  unsigned held = 0;
  const std::size_t padding = base64.ends_with("==") ? 2 : base64.ends_with('=') ? 1 : 0;
  if (base64.size() % 4 != 0) return false;
  for (char c : base64.substr(0, base64.size() - padding)) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return false;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    start += static_cast<char>(bits >> held & 255);
  }
  ByteReader in(as_bytes(start));
  if (as_text(in.take(in.be32())) != type || in.remaining() == 0) return false;
  while (in.ok() && in.remaining() > 0) in.take(in.be32());
  return in.ok();
}

}  // namespace

std::string problem_of_key(std::string_view line) {
  if (line.size() > kKeyBytesMost) return fmt::format("a key of more than {} bytes", kKeyBytesMost);
  if (line.find("PRIVATE KEY") != std::string_view::npos)
    return "that is a private key, which stays where it is; its public half is in the file beside it, .pub";
  if (std::any_of(line.begin(), line.end(),
                  [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; }))
    return "a key has no control characters";
  // Options, a type, the key itself, a comment; blanks and tabs between them (sshd(8)).
  std::string_view rest = trimmed(line);
  if (!is_key_type(rest.substr(0, rest.find_first_of(kBlanks)))) {
    if (std::string why = take_options(rest); !why.empty()) return why;
  }
  const std::string_view type = take_word(rest);
  if (!is_key_type(type)) {
    return fmt::format("expected an OpenSSH public key like 'ssh-ed25519 AAAA… me', found '{}'", shown(line));
  }
  if (!key_says(take_word(rest), type)) return fmt::format("this {} key is damaged: '{}'", type, shown(line));
  return {};
}

std::vector<std::string> parse_keys(std::string_view text, const std::string& file, Problems& problems) {
  std::vector<std::string> keys;
  bool stopped = false;
  if (std::string why = problem_of_encoding(text); !why.empty()) {
    problems.add(Place{1, 1, file}, why + "; expected OpenSSH public keys, one a line");
    return keys;
  }
  each_line(text, [&](std::string_view line, int number) {
    line = trimmed(line);
    if (stopped || line.empty() || line.starts_with('#')) return;
    if (std::string why = problem_of_key(line); !why.empty()) {
      stopped = line.find("PRIVATE KEY") != std::string_view::npos;
      problems.add(Place{number, 1, file}, std::move(why));
    } else if (keys.size() == kKeysMost) {
      problems.add(Place{number, 1, file}, fmt::format("more than {} keys", kKeysMost));
      stopped = true;
    } else {
      keys.emplace_back(line);
    }
  });
  if (keys.empty() && !stopped) problems.add(Place{1, 1, file}, "there is no key in it");
  return keys;
}

}  // namespace rookery::vboot
