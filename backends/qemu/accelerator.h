// Whether KVM is worth it on this host: measured, not believed. /dev/kvm may open, make machines, and then
// crawl.
#pragma once

#include "backends/qemu/qemu_arguments.h"

namespace rookery::backends {

struct AcceleratorChoice {
  Accelerator accelerator = Accelerator::tcg;
  std::string why;  // for a person: "/dev/kvm crawls: 5.61 s for what TCG does in 0.13 s"
};

// What was measured before on this host (the same processor, kernel and QEMU) is read from the user's cache
// folder; else both are measured, which takes some seconds at most, and remembered.
Result<AcceleratorChoice> choose_accelerator(const QemuFiles& files);

// Whether /dev/kvm opens for us; why not, in words that a user can act on.
Status kvm_opens();

// "QEMU emulator version 7.2.22 (…)": the version's first two numbers; an Error if it is none.
Result<std::pair<int, int>> parse_qemu_version(std::string_view text);

}  // namespace rookery::backends
