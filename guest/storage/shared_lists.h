// Files of a system that several packages write into: its users and groups, its packages. A layer's copy of
// one would hide another layer's, so a layer brings only the records that it adds (or has otherwise), in a
// folder of its own, and stage two puts them in. Pure: texts in, texts out; for the builder of layers and for
// the guest.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rookery {

struct SharedList {
  // What its records are: lines that a field up to ':' names and whose third one is a number of its own; such
  // lines without a number; lines; or paragraphs, which their first line names.
  enum class Kind { accounts, fields, lines, paragraphs };
  std::string_view path;
  Kind kind;
};
std::span<const SharedList> shared_lists();

// Below it, in a folder with the layer's name, a layer has its records, by the paths of the lists.
inline constexpr std::string_view kAddedRecords = "var/lib/rookery/added";
// The most that a list may be.
inline constexpr std::size_t kSharedListLimit = 8u << 20;

// The records of `extended` that `base` does not have in the same words.
std::string added_records(SharedList::Kind kind, std::string_view base, std::string_view extended);
// True if a record of `base` has no namesake in `extended`.
bool lacks_records(SharedList::Kind kind, std::string_view base, std::string_view extended);
// `base` with these records: each in the place of its namesake, or at the end. An account whose number
// another one has is an Error.
Result<std::string> with_records(SharedList::Kind kind, std::string_view base, std::string_view added);

}  // namespace rookery
