#include "vboot/run/machine/handover.h"

#include <algorithm>

namespace rookery::vboot {
namespace {

constexpr std::size_t kComplaintMost = 1024;

}  // namespace

ExecEvents Handover::events() {
  ExecEvents events;
  events.output = [this](agent::Stream, ByteView bytes) {
    complaint_ += as_text(bytes.first(std::min(bytes.size(), kComplaintMost - complaint_.size())));
  };
  events.exited = [this](const Result<int>& code) { exited(code); };
  events.taken = [this](std::uint32_t bytes) {
    credit_ = std::min<std::size_t>(credit_ + bytes, agent::kStreamWindow);
    feed();
  };
  return events;
}

void Handover::begin(std::uint32_t request) {
  request_ = request;
  feed();
}

void Handover::feed() {
  const ByteView tar = as_bytes(gift_->tar);
  while (!ended_ && credit_ > 0) {
    const ByteView part = tar.subspan(sent_, std::min({tar.size() - sent_, credit_, std::size_t{16u << 10}}));
    if (const Status sent = machine_.stream_input(request_, part); !sent) {
      ended_ = true;
      return failed_(sent.error().message);
    }
    sent_ += part.size();
    credit_ -= part.size();
    ended_ = part.empty();
  }
}

void Handover::exited(const Result<int>& code) {
  ended_ = true;
  if (!code || *code == 0) return;  // that the machine went off, is its Node's to tell
  while (!complaint_.empty() && complaint_.back() == '\n') complaint_.pop_back();
  std::replace(complaint_.begin(), complaint_.end(), '\n', ' ');
  failed_(complaint_.empty() ? "it ended with exit code " + std::to_string(*code) : complaint_);
}

}  // namespace rookery::vboot
