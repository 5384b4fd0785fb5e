#include "vboot/lab/side_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/bytes.h"
#include "vboot/lab/lab.h"
#include "vboot/lab/nearest_word.h"
#include "vboot/lab/role.h"

namespace rookery::vboot {
namespace {

constexpr std::array<std::string_view, 4> kColumns{"name", "mac", "role", "address"};
// What OpenSSH 9.2 takes, certificates aside (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
constexpr std::array<std::string_view, 7> kKeyTypes{"ssh-ed25519",
                                                    "ssh-rsa",
                                                    "ecdsa-sha2-nistp256",
                                                    "ecdsa-sha2-nistp384",
                                                    "ecdsa-sha2-nistp521",
                                                    "sk-ssh-ed25519@openssh.com",
                                                    "sk-ecdsa-sha2-nistp256@openssh.com"};

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::string shown(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 64)) out += c >= ' ' && c != 0x7f ? c : '?';
  return text.size() > 64 ? out + "…" : out;
}

struct Field {
  std::string text;
  int column = 1;
};

// The lines of one table, cut into fields. A quoted field keeps to its line: no name of ours has a line's
// end.
class Table {
 public:
  Table(const std::string& file, Problems& problems) : file_(file), problems_(problems) {}

  Place place(int line, int column) const { return Place{line, column, file_}; }
  void wrong(int line, int column, std::string message) {
    problems_.add(place(line, column), std::move(message));
  }

  // Nothing, and a problem, for a line that is none.
  std::optional<std::vector<Field>> cut(std::string_view line, int number) {
    std::vector<Field> fields;
    std::size_t at = 0;
    while (true) {
      if (fields.size() == kHostColumnsMost) {
        wrong(number, column(at), fmt::format("more than {} columns", kHostColumnsMost));
        return std::nullopt;
      }
      Field field{{}, column(at)};
      const std::size_t first = line.find_first_not_of(" \t", at);
      if (first != std::string_view::npos && line[first] == '"') {
        const auto end = quoted(line, first, field.text);
        if (!end) {
          wrong(number, column(first), "this quote has no end, or something follows it");
          return std::nullopt;
        }
        at = *end;
      } else {
        const std::size_t comma = std::min(line.find(',', at), line.size());
        field.text = trimmed(line.substr(at, comma - at));
        at = comma;
      }
      if (field.text.size() > kHostFieldMost) {
        wrong(number, field.column, fmt::format("a field of more than {} bytes", kHostFieldMost));
        return std::nullopt;
      }
      fields.push_back(std::move(field));
      if (at >= line.size()) return fields;
      ++at;  // the comma
    }
  }

 private:
  static int column(std::size_t at) { return static_cast<int>(at) + 1; }
  // Where the field's comma is, or the line's end; nothing if it is not well quoted.
  static std::optional<std::size_t> quoted(std::string_view line, std::size_t at, std::string& text) {
    for (++at; at < line.size(); ++at) {
      if (line[at] != '"') {
        text += line[at];
      } else if (at + 1 < line.size() && line[at + 1] == '"') {
        text += line[at++];
      } else {
        const std::size_t next = std::min(line.find_first_not_of(" \t", at + 1), line.size());
        if (next < line.size() && line[next] != ',') return std::nullopt;
        return next;
      }
    }
    return std::nullopt;
  }

  const std::string& file_;
  Problems& problems_;
};

// "52:54:00:12:34:56", also with '-' for ':'; a station's own address.
Result<MacBytes> parse_mac(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::usage, fmt::format("expected a MAC address like '52:54:00:12:34:56', found '{}'{}",
                                              shown(text), why));
  };
  if (text.size() != 17) return refuse("");
  MacBytes mac{};
  for (std::size_t i = 0; i < mac.size(); ++i) {
    const char* const digits = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, mac[i], 16);
    if (error != std::errc() || end != digits + 2) return refuse("");
    if (i > 0 && digits[-1] != ':' && digits[-1] != '-') return refuse("");
  }
  if ((mac[0] & 1) != 0) return refuse(", which is a group's (IEEE 802, the I/G bit)");
  if (mac == MacBytes{}) return refuse(", which is nobody's");
  if (mac[0] == 0x0a && mac[1] == 0x52 && mac[2] == 0x4b)
    return refuse("; those that begin with 0a:52:4b are for management NICs");
  return mac;
}

// Which column each of ours is, by its number; -1: not there.
using Columns = std::array<int, kColumns.size()>;

std::optional<Columns> header(Table& table, const std::vector<Field>& fields, int line) {
  Columns columns;
  columns.fill(-1);
  bool good = true;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::string word = fields[i].text;
    for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const auto found = std::find(kColumns.begin(), kColumns.end(), word);
    if (found == kColumns.end()) {
      table.wrong(line, fields[i].column,
                  fmt::format("unknown column '{}'{}", shown(word), suggestion(word, kColumns, "columns")));
      good = false;
    } else if (int& column = columns[static_cast<std::size_t>(found - kColumns.begin())]; column >= 0) {
      table.wrong(line, fields[i].column, fmt::format("column '{}' is there twice", word));
      good = false;
    } else {
      column = static_cast<int>(i);
    }
  }
  if (good && columns[0] < 0) {
    table.wrong(line, 1, "the first line must name the columns, 'name' among them: 'name,mac,role,address'");
    good = false;
  }
  return good ? std::optional(columns) : std::nullopt;
}

HostRow row_of(Table& table, const std::vector<Field>& fields, const Columns& columns, int line) {
  HostRow row;
  const auto field = [&](std::size_t which) -> Field {
    const int at = columns[which];
    return at < 0 ? Field{{}, 1} : fields[static_cast<std::size_t>(at)];
  };
  const Field name = field(0), mac = field(1), role = field(2), address = field(3);
  row.at = table.place(line, name.column);
  row.mac_at = table.place(line, mac.column);
  row.address_at = table.place(line, address.column);
  row.name = name.text;
  if (!is_name(row.name, 32, "-") || row.name.ends_with('-')) {
    table.wrong(
        line, name.column,
        fmt::format("expected a machine name (a-z, 0-9 and '-', first a letter, not '-' last, at most "
                    "32), found '{}'",
                    shown(row.name)));
  }
  if (!mac.text.empty()) {
    const auto parsed = parse_mac(mac.text);
    if (parsed) row.mac = *parsed;
    if (!parsed) table.wrong(line, mac.column, parsed.error().message);
  }
  row.role_at = table.place(line, role.column);
  if (is_name(role.text, RoleLimits::kName, "-")) {
    row.role = role.text;
  } else if (!role.text.empty()) {
    table.wrong(line, role.column,
                fmt::format("expected a role like 'client', found '{}'", shown(role.text)));
  }
  if (!address.text.empty()) {
    const auto parsed = parse_ipv4(address.text);
    if (parsed) row.address = *parsed;
    if (!parsed)
      table.wrong(line, address.column,
                  fmt::format("expected an address like '10.77.1.1', found '{}'", shown(address.text)));
  }
  return row;
}

// Hands on each line, without its end, and its number.
template <typename Take>
void each_line(std::string_view text, Take take) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark, as spreadsheets write it
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    take(line, number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
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

std::vector<HostRow> parse_hosts(std::string_view text, const std::string& file, Problems& problems) {
  Table table(file, problems);
  std::vector<HostRow> rows;
  std::optional<Columns> columns;
  std::size_t width = 0;
  bool stopped = false;
  each_line(text, [&](std::string_view line, int number) {
    if (stopped || trimmed(line).empty() || line.starts_with('#')) return;
    const auto fields = table.cut(line, number);
    if (!fields) {
      stopped = !columns;
      return;
    }
    if (!columns) {
      columns = header(table, *fields, number);
      width = fields->size();
      stopped = !columns;
    } else if (fields->size() != width) {
      table.wrong(number, 1,
                  fmt::format("expected {} fields, as the first line has, found {}", width, fields->size()));
    } else if (rows.size() == kMachinesMax) {
      table.wrong(number, 1, fmt::format("more than {} machines", kMachinesMax));
      stopped = true;
    } else {
      rows.push_back(row_of(table, *fields, *columns, number));
    }
  });
  if (rows.empty() && !stopped) table.wrong(1, 1, "the table has no machine");
  return rows;
}

std::string problem_of_key(std::string_view line) {
  if (line.size() > kKeyBytesMost) return fmt::format("a key of more than {} bytes", kKeyBytesMost);
  if (line.find("PRIVATE KEY") != std::string_view::npos)
    return "that is a private key, which stays where it is; its public half is in the file beside it, .pub";
  if (std::any_of(line.begin(), line.end(),
                  [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }))
    return "a key has no control characters";
  const std::size_t space = line.find(' ');
  const std::string_view type = line.substr(0, space);
  if (std::find(kKeyTypes.begin(), kKeyTypes.end(), type) == kKeyTypes.end()) {
    return fmt::format("expected an OpenSSH public key like 'ssh-ed25519 AAAA… me', found '{}'", shown(line));
  }
  std::string_view rest = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  rest = rest.substr(0, rest.find(' '));
  if (!key_says(rest, type)) return fmt::format("this {} key is damaged: '{}'", type, shown(line));
  return {};
}

std::vector<std::string> parse_keys(std::string_view text, const std::string& file, Problems& problems) {
  std::vector<std::string> keys;
  bool stopped = false;
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
