// A machine that is a QEMU process. Made by the QEMU backend; see backend.h for what it does.
#pragma once

#include <memory>

#include "backends/backend.h"
#include "backends/qemu/qemu_arguments.h"

namespace rookery::backends {

Result<std::unique_ptr<Machine>> make_qemu_machine(EventLoop& loop, MachineSpec spec, MachineEvents& events,
                                                   Accelerator accelerator, const QemuFiles& files);

}  // namespace rookery::backends
