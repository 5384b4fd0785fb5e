#include "guest/storage/shared_lists.h"

#include <algorithm>
#include <map>
#include <vector>

namespace rookery {
namespace {

using Kind = SharedList::Kind;

// passwd(5), group(5), shadow(5), gshadow(5), subuid(5), shells(5); dpkg's lists as its own manual pages have
// them.
constexpr SharedList kLists[] = {
    {"etc/passwd", Kind::accounts},
    {"etc/group", Kind::accounts},
    {"etc/shadow", Kind::fields},
    {"etc/gshadow", Kind::fields},
    {"etc/subuid", Kind::fields},
    {"etc/subgid", Kind::fields},
    {"etc/shells", Kind::lines},
    {"var/lib/dpkg/status", Kind::paragraphs},
    {"var/lib/dpkg/statoverride", Kind::lines},
    {"var/lib/dpkg/triggers/File", Kind::lines},
};

struct Record {
  std::string_view name, text;  // without what ends it
};

std::string_view name_of(Kind kind, std::string_view text) {
  if (kind == Kind::lines) return text;
  return text.substr(0, text.find(kind == Kind::paragraphs ? '\n' : ':'));
}

std::string_view end_of(Kind kind) {
  return kind == Kind::paragraphs ? "\n\n" : "\n";
}

// Empty ones are none.
std::vector<Record> records_of(Kind kind, std::string_view list) {
  std::vector<Record> records;
  const std::string_view end = end_of(kind);
  for (std::size_t start = 0; start < list.size();) {
    if (list[start] == '\n') {
      ++start;
      continue;
    }
    const std::size_t stop = std::min(list.find(end, start), list.size());
    std::string_view text = list.substr(start, stop - start);
    while (text.ends_with('\n')) text.remove_suffix(1);
    records.push_back({name_of(kind, text), text});
    start = stop + 1;
  }
  return records;
}

using ByName = std::map<std::string_view, std::string_view>;

ByName by_name(const std::vector<Record>& records) {
  ByName found;
  for (const Record& record : records) found.insert_or_assign(record.name, record.text);
  return found;
}

// The third field; empty if there is none.
std::string_view number_of(std::string_view account) {
  for (int field = 0; field < 2; ++field) {
    const std::size_t colon = account.find(':');
    if (colon == std::string_view::npos) return {};
    account.remove_prefix(colon + 1);
  }
  return account.substr(0, account.find(':'));
}

Status check_numbers(const std::vector<Record>& accounts) {
  ByName owners;
  for (const Record& account : accounts) {
    const auto [owner, is_new] = owners.emplace(number_of(account.text), account.name);
    if (!is_new && owner->second != account.name) {
      return fail("'" + std::string(owner->second) + "' and '" + std::string(account.name) +
                  "' have the same number, " + std::string(owner->first));
    }
  }
  return {};
}

}  // namespace

std::span<const SharedList> shared_lists() {
  return kLists;
}

std::string added_records(Kind kind, std::string_view base, std::string_view extended) {
  const std::vector<Record> before = records_of(kind, base);
  const ByName known = by_name(before);
  std::string added;
  for (const Record& record : records_of(kind, extended)) {
    const auto same = known.find(record.name);
    if (same == known.end() || same->second != record.text)
      added += std::string(record.text) + std::string(end_of(kind));
  }
  return added;
}

bool lacks_records(Kind kind, std::string_view base, std::string_view extended) {
  const std::vector<Record> after = records_of(kind, extended);
  const ByName known = by_name(after);
  for (const Record& record : records_of(kind, base)) {
    if (!known.contains(record.name)) return true;
  }
  return false;
}

Result<std::string> with_records(Kind kind, std::string_view base, std::string_view added) {
  std::vector<Record> records = records_of(kind, base);
  std::map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < records.size(); ++i) places.emplace(records[i].name, i);
  for (const Record& record : records_of(kind, added)) {
    const auto [place, is_new] = places.emplace(record.name, records.size());
    if (is_new) {
      records.push_back(record);
    } else {
      records[place->second] = record;
    }
  }
  if (kind == Kind::accounts) ROOKERY_TRY(check_numbers(records));
  std::string list;
  for (const Record& record : records) list += std::string(record.text) + std::string(end_of(kind));
  return list;
}

}  // namespace rookery
