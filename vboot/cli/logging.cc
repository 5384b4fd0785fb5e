#include "vboot/cli/logging.h"

#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <array>
#include <memory>
#include <mutex>
#include <utility>

#include "vboot/cli/standard_streams.h"

namespace rookery::vboot {
namespace {

constexpr std::array<std::pair<std::string_view, spdlog::level::level_enum>, 5> kLevels{
    {{"debug", spdlog::level::debug},
     {"info", spdlog::level::info},
     {"warn", spdlog::level::warn},
     {"error", spdlog::level::err},
     {"off", spdlog::level::off}}};

class LineSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LineSink(LogLine take) : take_(std::move(take)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string_view level(spdlog::level::to_string_view(message.level).data(),
                                 spdlog::level::to_string_view(message.level).size());
    take_(fmt::format("rookery: {}: {}", level,
                      std::string_view(message.payload.data(), message.payload.size())));
  }
  void flush_() override {}

  LogLine take_;
};

}  // namespace

Status set_log_level(std::string_view word) {
  for (const auto& [name, level] : kLevels) {
    if (name != word) continue;
    spdlog::set_level(level);
    return {};
  }
  return fail(ErrorKind::usage, fmt::format("expected debug, info, warn, error or off, found '{}'", word));
}

void log_to(LogLine take) {
  const auto level = spdlog::get_level();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("rookery", std::make_shared<LineSink>(std::move(take))));
  spdlog::set_level(level);
}

void log_to_standard_error() {
  log_to([](std::string_view line) { complain(line); });
}

}  // namespace rookery::vboot
