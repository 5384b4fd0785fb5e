#include "vboot/lab/side_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "vboot/lab/lab.h"
#include "vboot/lab/nearest_word.h"
#include "vboot/lab/role.h"
#include "vboot/lab/side_text.h"

namespace rookery::vboot {
namespace {

constexpr std::array<std::string_view, 4> kColumns{"name", "mac", "role", "address"};
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
        field.text = trimmed(field.text);
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

// A station's own address.
Result<MacBytes> parse_mac(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail(
        ErrorKind::usage,
        fmt::format("expected a MAC address like '52:54:00:12:34:56' (or with dashes, 5254.0012.3456, "
                    "525400123456), found '{}'{}",
                    shown(text), why));
  };
  const auto mac = mac_from_text(text);
  if (!mac) return refuse("");
  if (((*mac)[0] & 1) != 0) return refuse(", which is a group's (IEEE 802, the I/G bit)");
  if (*mac == MacBytes{}) return refuse(", which is nobody's");
  if ((*mac)[0] == 0x0a && (*mac)[1] == 0x52 && (*mac)[2] == 0x4b)
    return refuse("; those that begin with 0a:52:4b are for management NICs");
  return *mac;
}

// Which column each of ours is, by its number; -1: not there.
using Columns = std::array<int, kColumns.size()>;

// What a column is called and ours is not; in lower case.
struct Habit {
  std::string_view written, meant;
};
constexpr std::array kHabits{
    Habit{"hostname", "name"},      Habit{"host", "name"},          Habit{"machine", "name"},
    Habit{"node", "name"},          Habit{"mac address", "mac"},    Habit{"mac-address", "mac"},
    Habit{"macaddress", "mac"},     Habit{"hwaddr", "mac"},         Habit{"ip", "address"},
    Habit{"ip address", "address"}, Habit{"ip-address", "address"}, Habit{"ipaddress", "address"},
    Habit{"ipv4", "address"}};

std::string hint_of_column(std::string_view word) {
  std::string hint = fmt::format("; columns are: {}", fmt::join(kColumns, ", "));
  const auto habit =
      std::find_if(kHabits.begin(), kHabits.end(), [&](const Habit& one) { return one.written == word; });
  const std::string_view near = habit != kHabits.end() ? habit->meant : nearest_word(word, kColumns);
  if (!near.empty()) hint += fmt::format("; did you mean '{}'?", near);
  return hint;
}

// What stands between the fields of a table whose first line has no comma; nothing if that is well.
std::string other_separator(std::string_view line) {
  for (const auto& [c, word] : {std::pair{';', "semicolons"}, {'\t', "tabs"}, {'|', "bars"}}) {
    if (line.find(',') != std::string_view::npos || line.find(c) == std::string_view::npos) continue;
    return fmt::format(
        "expected a comma (',') between two fields, as in 'name,mac,role,address'; here are {}: "
        "save the table as CSV with commas",
        word);
  }
  return {};
}

// With what is wrong, what is right of it is read all the same, as long as machines have names.
std::optional<Columns> header(Table& table, const std::vector<Field>& fields, int line) {
  Columns columns;
  columns.fill(-1);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::string word = fields[i].text;
    for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (word.empty()) continue;  // what a spreadsheet leaves behind: nothing may stand in it
    const auto found = std::find(kColumns.begin(), kColumns.end(), word);
    if (found == kColumns.end()) {
      table.wrong(line, fields[i].column,
                  fmt::format("unknown column '{}'{}", shown(fields[i].text), hint_of_column(word)));
    } else if (int& column = columns[static_cast<std::size_t>(found - kColumns.begin())]; column >= 0) {
      table.wrong(line, fields[i].column, fmt::format("column '{}' is there twice", word));
    } else {
      column = static_cast<int>(i);
    }
  }
  if (columns[0] >= 0) return columns;
  table.wrong(line, 1, "the first line must name the columns, 'name' among them: 'name,mac,role,address'");
  return std::nullopt;
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
    row.name = shown(row.name);  // so that it can be named in what is wrong with it beside this
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

}  // namespace

std::vector<HostRow> parse_hosts(std::string_view text, const std::string& file, Problems& problems) {
  Table table(file, problems);
  std::vector<HostRow> rows;
  std::optional<Columns> columns;
  std::vector<Field> head;
  bool stopped = false;
  std::size_t lines = 0;  // with a machine, good or not
  if (std::string why = problem_of_encoding(text); !why.empty()) {
    table.wrong(1, 1, why + "; expected a CSV file in UTF-8, with commas");
    return rows;
  }
  each_line(text, [&](std::string_view line, int number) {
    if (stopped || trimmed(line).empty() || trimmed(line).starts_with('#')) return;
    if (columns) ++lines;
    if (const auto column = not_utf8(line)) {
      table.wrong(number, *column, "this is not UTF-8 (perhaps Latin-1): save the table as CSV in UTF-8");
      stopped = !columns;
      return;
    }
    const auto fields = table.cut(line, number);
    if (!fields) {
      stopped = !columns;
      return;
    }
    if (!columns) {
      const std::string separator = other_separator(line);
      if (!separator.empty()) table.wrong(number, 1, separator);
      if (separator.empty()) columns = header(table, *fields, number);
      head = *fields;
      stopped = !columns;
      return;
    }
    const bool empty =
        std::all_of(fields->begin(), fields->end(), [](const Field& one) { return one.text.empty(); });
    if (empty) {
      --lines;
    } else if (fields->size() != head.size()) {
      const std::string separator = fields->size() == 1 ? other_separator(line) : "";
      table.wrong(number, 1,
                  fmt::format("expected {} fields, as the first line has, found {}{}{}", head.size(),
                              fields->size(), separator.empty() ? "" : "; ", separator));
    } else if (rows.size() == kMachinesMax) {
      table.wrong(number, 1, fmt::format("more than {} machines", kMachinesMax));
      stopped = true;
    } else {
      for (std::size_t i = 0; i < head.size(); ++i) {
        const Field& field = (*fields)[i];
        if (head[i].text.empty() && !field.text.empty())
          table.wrong(number, field.column,
                      fmt::format("'{}' stands in a column that has no name", shown(field.text)));
      }
      rows.push_back(row_of(table, *fields, *columns, number));
    }
  });
  if (rows.empty() && lines == 0 && !stopped) table.wrong(1, 1, "the table has no machine");
  return rows;
}

}  // namespace rookery::vboot
