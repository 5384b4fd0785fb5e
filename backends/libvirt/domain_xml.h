// A machine as libvirt's domain XML, and how a domain is known to be ours: pure, compared with golden files
// (tests/golden/libvirt) and with libvirt's own schema.
#pragma once

#include <filesystem>
#include <string>

#include "backends/backend.h"
#include "backends/libvirt/uri.h"

namespace rookery::backends {

// Whose machines they are: nobody else's domains are ever touched.
struct DomainOwner {
  std::string lab;
  std::string place;  // tells labs of one name apart: user, host and the lab's folder
};

// "rookery-<lab>-<machine>". Any name may be somebody else's; the UUID is drawn from owner and machine
// together, and the metadata says that Rookery made it: ours is what has all three.
std::string domain_name(const DomainOwner& owner, const std::string& machine);
std::string domain_uuid(const DomainOwner& owner, const std::string& machine);
bool is_ours(const DomainOwner& owner, const std::string& name, const std::string& uuid, bool has_metadata);
// The namespace of the element `machine` within <metadata>.
inline constexpr const char* kMetadataNamespace = "https://rookery.invalid/libvirt/1";

// Where the host has what a domain is given.
struct LibvirtFiles {
  std::filesystem::path uefi_code = "/usr/share/OVMF/OVMF_CODE_4M.fd";
  std::filesystem::path uefi_variables = "/usr/share/OVMF/OVMF_VARS_4M.fd";
};

// Names within a machine's folder; libvirt's QEMU works elsewhere and is given whole paths.
inline constexpr const char* kConsoleSocket = "console";
inline constexpr const char* kNvram = "uefi-variables";

// A machine that cannot be is an Error of kind usage.
Result<std::string> domain_xml(const LibvirtUri& uri, const DomainOwner& owner, const MachineSpec& spec,
                               bool kvm, const LibvirtFiles& files);

}  // namespace rookery::backends
