// Takes leave of QEMUs that libvirt starts on this host, when they end: our process adopts what its children
// leave behind (base/process.h), and libvirt waits until nothing of a QEMU is left, also of one that dies in
// its own start. Owned by whoever has the connection; works in libvirt's own thread.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace rookery::backends {

class Burials {
 public:
  Burials() = default;
  ~Burials() { stop(); }
  Burials(const Burials&) = delete;
  Burials& operator=(const Burials&) = delete;

  // Of those whose process number will be written into that folder, which is there.
  Status watch(const std::filesystem::path& folder);

 private:
  void stop();
  int handle_ = -1;  // of libvirt's loop
};

}  // namespace rookery::backends
