// The two initramfs archives, both around one static program, which finds out which stage it is from the mark
// /stage1 or /stage2 beside it (see initramfs/guest/main.cc).
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"

namespace rookery::images {

// An error if the file is not a program for x86-64 Linux that needs no shared library: in an initramfs there
// is none.
Status check_static_program(const std::filesystem::path& program);

// Writes the initramfs of stage one or two.
Status write_stage(int stage, const std::filesystem::path& guest, const std::filesystem::path& busybox,
                   std::int64_t date, const std::filesystem::path& destination);

}  // namespace rookery::images
