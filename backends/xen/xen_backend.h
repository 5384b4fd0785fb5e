// Xen domains, where this program runs in dom0 as root: paravirtual ones (pv, pvh) that are given a kernel,
// and fully virtual ones with firmware. By libxl, without xl and without configuration files. Domains that
// are not ours are not touched.
#pragma once

#include <map>

#include "backends/backend.h"
#include "base/unique_fd.h"

namespace rookery::backends {

class XenThread;

class XenBackend final : public Backend {
 public:
  static constexpr Duration kPatience = std::chrono::seconds(120);

  explicit XenBackend(EventLoop& loop, Duration patience = kPatience) : loop_(loop), patience_(patience) {}
  std::string_view name() const override { return "xen"; }
  Result<Capabilities> probe(const Hardware& hardware) override;
  Result<std::unique_ptr<Machine>> create(MachineSpec spec, MachineEvents& events) override;

 private:
  Status unpack_kernel(std::filesystem::path& kernel);

  EventLoop& loop_;
  Duration patience_;
  std::map<std::filesystem::path, UniqueFd> kernels_;  // unpacked, in memory, by the file that they came from
  std::shared_ptr<XenThread> thread_;                  // from the first machine on
};

// Whether this is a Xen host whose domains we may make; if not, what is missing, and how it is had.
Status look_for_xen();

}  // namespace rookery::backends
