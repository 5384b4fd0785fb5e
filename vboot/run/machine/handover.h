// Hands a machine its Gift, in the second stage of its boot and before its system starts: the tar goes to the
// gift's script by a stream, at the pace at which the machine takes it. Owned by the machine's Node, which
// makes one for each boot.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "vboot/run/machine/gift.h"
#include "vboot/run/machine/stream_host.h"

namespace rookery::vboot {

class Handover {
 public:
  // Called once, unless it goes well: why the machine cannot start.
  using Failed = std::function<void(const std::string& why)>;

  Handover(StreamHost& machine, std::shared_ptr<const Gift> gift, Failed failed)
      : machine_(machine), gift_(std::move(gift)), failed_(std::move(failed)) {}

  // For the stream that runs gift_script(); both before anything else.
  ExecEvents events();
  void begin(std::uint32_t request);

 private:
  void feed();
  void exited(const Result<int>& code);

  StreamHost& machine_;
  std::shared_ptr<const Gift> gift_;
  Failed failed_;
  std::uint32_t request_ = 0;
  std::size_t sent_ = 0;
  std::size_t credit_ = agent::kStreamWindow;
  bool ended_ = false;
  std::string complaint_;
};

}  // namespace rookery::vboot
