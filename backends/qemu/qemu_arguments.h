// QEMU's command line as data: pure, compared with golden files (tests/golden/qemu). All paths but those of
// the host's own files are relative to the machine's folder, which is its working folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "backends/backend.h"

namespace rookery::backends {

enum class Accelerator { tcg, kvm };
std::string_view to_string(Accelerator accelerator);
std::string_view processor_model(Accelerator accelerator);

// Names within a machine's folder.
inline constexpr const char* kQmpSocket = "qmp";
inline constexpr const char* kUefiVariables = "uefi-variables";  // a private copy
inline constexpr const char* kJoinedInitramfs = "initramfs";     // with the modules behind it

// Where the host keeps what QEMU is given.
struct QemuFiles {
  std::filesystem::path program = "/usr/bin/qemu-system-x86_64";
  std::filesystem::path uefi_code = "/usr/share/OVMF/OVMF_CODE_4M.fd";
  std::filesystem::path uefi_variables = "/usr/share/OVMF/OVMF_VARS_4M.fd";
};

// argv[0] and all behind it. A machine that cannot be is an Error of kind usage.
Result<std::vector<std::string>> qemu_arguments(const MachineSpec& spec, Accelerator accelerator,
                                                const QemuFiles& files);

}  // namespace rookery::backends
