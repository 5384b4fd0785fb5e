// What libvirt is asked to do with one domain. The calls block: they are made in a worker, one at a time.
// Owned by its machine, shared with the worker.
#pragma once

#include <filesystem>
#include <string>

#include "backends/libvirt/host.h"

namespace rookery::backends {

struct CallFailure {
  enum class Of {
    domain,      // it is not there (any more)
    connection,  // it broke: what became of the domain is known when it is there again (DomainEvents)
    forgetting,  // libvirt has not forgotten the one before it: it tells of an end earlier than that, and of
                 // that nobody
    call         // all else
  };
  Of of;
  Error error;
};
using CallStatus = tl::expected<void, CallFailure>;

class DomainCalls {
 public:
  DomainCalls(std::string name, std::string uuid, std::string xml, LibvirtDriver driver)
      : name_(std::move(name)),
        uuid_(std::move(uuid)),
        xml_(std::move(xml)),
        begins_stopped_(driver == LibvirtDriver::qemu) {}

  CallStatus create(const ConnectionHandle& connection);
  // As it was saved, from a file of this very domain; it stands still.
  CallStatus restore(const ConnectionHandle& connection, const std::filesystem::path& file);
  // By another connection, over which it is spoken to from now on.
  CallStatus find(const ConnectionHandle& connection);
  // To a file that is not there. libvirt ends a domain that it saves, so it is taken up again at once; it
  // stands still.
  CallStatus save(const ConnectionHandle& connection, const std::filesystem::path& file);
  CallStatus destroy();
  // These are asked for, no more.
  void press();
  void stop();
  void go();

 private:
  std::string name_, uuid_, xml_;
  bool begins_stopped_;
  DomainHandle domain_;
};

}  // namespace rookery::backends
