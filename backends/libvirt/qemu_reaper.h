// Reaps the QEMU processes that libvirt starts on this host, when they end: our process adopts what its
// children leave behind (as in base/process.h), and libvirt waits until nothing of a QEMU is left, also of
// one that dies in its own start. Owned by whoever has the connection; works in libvirt's own thread.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"

namespace rookery::backends {

class QemuReaper {
 public:
  QemuReaper() = default;
  ~QemuReaper() { stop(); }
  QemuReaper(const QemuReaper&) = delete;
  QemuReaper& operator=(const QemuReaper&) = delete;

  // Of those whose process numbers will be written into these folders, as far as these are there, or into one
  // that libvirt makes below to ask a QEMU what it can do. libvirt's loop must be registered.
  Status watch(const std::vector<std::filesystem::path>& folders);

 private:
  void stop();
  int handle_ = -1;  // of libvirt's loop
};

}  // namespace rookery::backends
