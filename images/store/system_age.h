// How old the system of an image is: its packages get no security fixes but by being made anew.
#pragma once

#include <cstdint>
#include <string>

#include "images/store/manifest.h"
#include "images/store/store.h"

namespace rookery::images {

// After so many days an image should be made anew.
inline constexpr std::int64_t kOldAfterDays = 60;

// When its packages were downloaded (seconds since 1970); where that is not known, the date of the newest of
// them.
std::int64_t system_date(const StoredImage& image, const Manifest& manifest);
std::int64_t days_since(std::int64_t date, std::int64_t now);
std::string day_of(std::int64_t date);  // "2026-01-31"
// "of 2026-01-31, 3 days old".
std::string age_in_words(const StoredImage& image, const Manifest& manifest, std::int64_t now);
// Nothing, or that it is too old and how it is made anew.
std::string age_advice(const StoredImage& image, const Manifest& manifest, std::int64_t now);

}  // namespace rookery::images
