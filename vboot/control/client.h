// The commands' end of a lab's control channel: finds the socket of a running lab, asks, and waits for the
// answer. Blocking, as a command may; the supervisor's end lives on its event loop.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "base/units.h"
#include "vboot/control/message_reader.h"
#include "vboot/control/messages.h"
#include "vboot/control/requests.h"

namespace rookery::vboot {

// <runtime>/<lab>/control.sock, where <runtime> is base's runtime_folder().
std::filesystem::path control_socket_path(const std::filesystem::path& runtime, std::string_view lab);

// The labs that somebody listens for, by name.
Result<std::vector<std::string>> running_labs(const std::filesystem::path& runtime);

// One connection; one request at a time. Move-only.
class ControlClient {
 public:
  // To the lab of that name; without a name to the one that runs. None, or several, is an Error of kind usage
  // that says what runs.
  static Result<ControlClient> connect(std::optional<std::string_view> lab);
  // `files`: where labs in other runtime folders are looked for, so that their user is told how they are
  // reached.
  static Result<ControlClient> connect(const std::filesystem::path& runtime,
                                       std::optional<std::string_view> lab,
                                       const std::filesystem::path& files = {});
  explicit ControlClient(UniqueFd connection, std::string lab = {})
      : connection_(std::move(connection)), lab_(std::move(lab)) {}

  // Asks and gives back the result; events on the way are dropped. A supervisor that says nothing for
  // `silence` is an Error of kind timeout.
  Result<Json> call(RequestBody request, Duration silence = std::chrono::seconds(30));

  // The same, and hands every event on as it comes, for as long as it takes. An Error from `on_event` ends
  // it.
  using OnEvent = std::function<Status(const ControlEvent&)>;
  // `files`: descriptors that the supervisor gets copies of.
  Result<Json> stream(RequestBody request, const OnEvent& on_event,
                      std::optional<Duration> silence = std::nullopt, std::span<const int> files = {});

  int fd() const { return connection_.get(); }
  const std::string& lab() const { return lab_; }  // its name
  // The connection, and what came on it that was not asked for yet: after a StreamRequest.
  std::pair<UniqueFd, std::string> take() && {
    return {std::move(connection_), std::move(reader_).take_rest()};
  }

 private:
  Status send(const ControlRequest& request, std::span<const int> files);
  Result<Json> receive();  // one message

  UniqueFd connection_;
  std::string lab_;
  MessageReader reader_;
  std::int64_t last_id_ = 0;
};

}  // namespace rookery::vboot
