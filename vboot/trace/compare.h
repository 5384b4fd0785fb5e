// Where two runs part: reads their traces side by side up to the first record that is not the same, and puts
// both into words, frames decoded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/json/json.h"
#include "base/result.h"
#include "vboot/trace/record.h"

namespace rookery::vboot {

struct TraceDifference {
  std::uint64_t records_alike = 0;           // before it
  Time time{};                               // of the earlier of the two
  std::optional<std::string> machine;        // that it is about; none: the lab as a whole
  std::optional<TraceRecord> first, second;  // none: that run had ended
  std::string first_text, second_text;       // in words
  std::string hint;                          // for frames: what of them differs
};

// Nothing if both traces have the same records to their ends.
Result<std::optional<TraceDifference>> first_difference(const std::filesystem::path& first,
                                                        const std::filesystem::path& second);

// "12.345678901 s n5 sent 1514 bytes: TCP …". `header` is the trace's.
std::string in_words(const TraceRecord& record, const Json& header);
// Of a frame only: what it is, decoded as far as its bytes were kept.
std::string decoded(const TraceRecord& record);

Json to_json(const TraceDifference& difference);

}  // namespace rookery::vboot
