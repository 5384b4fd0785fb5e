// A machine that is a Xen domain. Made by the Xen backend; see backend.h for what it does.
#pragma once

#include <memory>

#include "backends/backend.h"
#include "backends/xen/xen_thread.h"

namespace rookery::backends {

// `patience`: how long dom0 may take for what it is asked before the machine is given up.
Result<std::unique_ptr<Machine>> make_xen_machine(EventLoop& loop, MachineSpec spec, MachineEvents& events,
                                                  std::shared_ptr<XenThread> thread, Duration patience);

}  // namespace rookery::backends
