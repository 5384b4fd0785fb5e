// A machine that is a libvirt domain. Made by the libvirt backend; see backend.h for what it does.
#pragma once

#include <memory>

#include "backends/backend.h"
#include "backends/libvirt/host.h"

namespace rookery::backends {

Result<std::unique_ptr<Machine>> make_libvirt_machine(EventLoop& loop, std::shared_ptr<LibvirtHost> host,
                                                      MachineSpec spec, std::string xml,
                                                      MachineEvents& events);

}  // namespace rookery::backends
