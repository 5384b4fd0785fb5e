#include "images/store/system_age.h"

#include <algorithm>
#include <ctime>

namespace rookery::images {

std::int64_t system_date(const StoredImage& image, const Manifest& manifest) {
  return image.system_made > 0 ? image.system_made : manifest.created;
}

std::int64_t days_since(std::int64_t date, std::int64_t now) {
  constexpr std::int64_t kDay = 24 * 60 * 60;
  return std::max<std::int64_t>(now - date, 0) / kDay;  // a clock that is wrong makes nothing older
}

std::string day_of(std::int64_t date) {
  const std::time_t seconds = date;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char day[32];
  std::strftime(day, sizeof day, "%Y-%m-%d", &parts);
  return day;
}

std::string age_in_words(const StoredImage& image, const Manifest& manifest, std::int64_t now) {
  const std::int64_t date = system_date(image, manifest), days = days_since(date, now);
  return "of " + day_of(date) + ", " + std::to_string(days) + (days == 1 ? " day old" : " days old");
}

std::string age_advice(const StoredImage& image, const Manifest& manifest, std::int64_t now) {
  const std::int64_t days = days_since(system_date(image, manifest), now);
  if (days <= kOldAfterDays) return {};
  return "the Debian in the image " + image.name + " is " + std::to_string(days) +
         " days old and lacks the security fixes since; 'rookery image build --name " + image.name +
         " --refresh' makes it anew";
}

}  // namespace rookery::images
