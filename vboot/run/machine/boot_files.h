// What a machine starts from: files of the host, taken out of an image's medium. A plain value; the files
// outlive the lab.
#pragma once

#include <filesystem>
#include <string>

namespace rookery::vboot {

struct BootFiles {
  std::filesystem::path kernel, initramfs;
  std::filesystem::path storage_kernel{};  // for machines whose plan says so; empty in an older image
  std::filesystem::path modules{};         // behind the initramfs, if the kernel has any
  std::string words{};  // for its command line, behind those that all have; each with a blank before it
};

}  // namespace rookery::vboot
