// Which kernel modules are needed before the root file system is there, with all that they need in turn:
// pure, from the text of modules.dep.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rookery::images {

// The NICs, disks and file systems that a machine may meet on its way to the root.
const std::vector<std::string>& early_module_names();
// What a root by iSCSI or NFS takes beside them.
const std::vector<std::string>& san_module_names();

// The lines of modules.dep (in its order) for the named modules and for all that they depend on. A name that
// is neither in `modules_dep` nor in `modules_builtin` is an error.
Result<std::vector<std::string>> module_closure(std::string_view modules_dep,
                                                std::string_view modules_builtin,
                                                const std::vector<std::string>& names);
// "kernel/fs/isofs/isofs.ko", of the line "kernel/fs/isofs/isofs.ko: …".
std::string_view module_file(std::string_view dep_line);
// "virtio_net", of "kernel/drivers/net/virtio_net.ko": as modprobe does, '-' counts as '_'.
std::string module_name(std::string_view file);

// The "alias PATTERN MODULE" lines of modules.alias whose module is in `dep_lines`.
std::string aliases_of(std::string_view modules_alias, const std::vector<std::string>& dep_lines);

}  // namespace rookery::images
