#include "vboot/run/machine/refusals.h"

#include <fmt/format.h>

#include "netsim/frame.h"
#include "vboot/run/machine/node.h"

namespace rookery::vboot {
namespace {

constexpr std::string_view kNic = "network card", kManagement = "management card", kDisk = "disk",
                           kCable = "cable", kAgent = "agent";

class Refusals {
 public:
  void add(std::string_view where, std::string_view what, std::uint64_t count, bool is_loss = false) {
    if (count > 0) found_.push_back({where, what, count, is_loss});
  }
  // Those to a machine that is not there are nobody's fault.
  void add(std::string_view where, const netsim::PortLosses& losses) {
    add(where, "frames that are none", losses.malformed);
    add(where, "frames beyond its share of the buffers", losses.no_buffer);
    add(where, "frames that it did not take", losses.full, true);
  }
  std::vector<Refusal> take() { return std::move(found_); }

 private:
  std::vector<Refusal> found_;
};

}  // namespace

std::vector<Refusal> Node::refusals() const {
  Refusals refusals;
  refusals.add(kNic, cable_.nic().losses());
  if (const auto* nic = cable_.management_nic()) refusals.add(kManagement, nic->losses());
  if (const auto* disk = seat_->disk()) {
    const auto& its = disk->counters();
    refusals.add(kDisk, "requests that are none", its.malformed);
    refusals.add(kDisk, "requests that are too long", its.too_long);
    refusals.add(kDisk, "requests that failed", its.errors - its.too_long);
  }
  const auto beyond_queue = [&](const netsim::LinkCounters& its, std::string_view what) {
    refusals.add(kCable, what, its.queue_full + its.in_flight_full, true);
  };
  beyond_queue(cable_.sent(), "frames from it beyond the queue");
  beyond_queue(cable_.received(), "frames to it beyond the queue");
  refusals.add(kAgent, "messages that are none", agent_.malformed());
  return refusals.take();
}

std::vector<std::string> Node::given_up() const {
  std::vector<std::string> texts;
  const auto add = [&](std::string_view where, const std::string& fault) {
    if (!fault.empty()) texts.push_back(fmt::format("its {} was given up: {}", where, fault));
  };
  add(kNic, cable_.nic().fault());
  if (const auto* nic = cable_.management_nic()) add(kManagement, nic->fault());
  if (const auto* disk = seat_->disk()) add(kDisk, disk->fault());
  return texts;
}

void add_refusals(Json& machine, const Node& node) {
  Json refused = Json::array();
  const auto refusals = node.refusals();
  for (const Refusal& one : refusals) {
    refused.add(Json::object()
                    .set("where", std::string(one.where))
                    .set("what", std::string(one.what))
                    .set("count", Json::count(one.count)));
  }
  if (!refusals.empty()) machine.set("refused", std::move(refused));
  if (const auto faults = node.given_up(); !faults.empty()) machine.set("given_up", Json::strings(faults));
}

std::string in_words(const std::vector<Refusal>& refusals) {
  std::string text;
  for (const Refusal& one : refusals) {
    if (one.is_loss) continue;
    text += fmt::format("{}{} {} ({})", text.empty() ? "" : ", ", one.count, one.what, one.where);
  }
  return text;
}

Json frame_pool() {
  const netsim::FramePoolState pool = netsim::frame_pool_state();
  return Json::object()
      .set("in_use_bytes", Json::count(pool.in_use.count))
      .set("limit_bytes", Json::count(pool.limit.count))
      .set("refused", Json::count(pool.refused));
}

}  // namespace rookery::vboot
