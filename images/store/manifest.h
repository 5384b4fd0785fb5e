// What an image is: its name, where it comes from, and the digest of each of its parts. A Manifest is a plain
// value; its JSON form ("rookery.image/2") is what the medium carries and what names the image in the store.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "base/units.h"

namespace rookery::images {

// Its number is raised whenever a program needs of an image what those before it do not have: a field here, a
// patch of its User-Mode Linux kernel (images/make/kernel/patches), a message of its guest program
// (guest/protocol/agent_protocol.h). An image of another number is refused before anything starts.
inline constexpr std::string_view kManifestSchema = "rookery.image/2";

// The parts that Rookery knows by name. An image may have others.
inline constexpr std::string_view kRootSquashfs = "root.squashfs";  // the shared, read-only system
inline constexpr std::string_view kLinuxUml = "linux-uml";          // User-Mode Linux, a static host program
inline constexpr std::string_view kLinuxUmlStorage =
    "linux-uml-storage";  // the same with iSCSI and NFS, for machines whose root is there
inline constexpr std::string_view kVmlinuz = "vmlinuz";  // the distribution's x86-64 kernel
inline constexpr std::string_view kModulesCpio =
    "modules.cpio";  // those of its modules that are needed early, packed by zstd
inline constexpr std::string_view kSanCpio = "san.cpio";  // what a root by iSCSI or NFS takes, likewise
inline constexpr std::string_view kStageOneCpio = "stage1.cpio";  // the virtual boot ROM
inline constexpr std::string_view kStageTwoCpio = "stage2.cpio";  // what it fetches and goes on in
// What makes a medium bootable, all three or none (images/medium/boot_loader.h).
inline constexpr std::string_view kGrubMbr = "grub-mbr";    // a disk's first sector
inline constexpr std::string_view kGrubBios = "grub-bios";  // GRUB for BIOS, which that sector or a CD starts
inline constexpr std::string_view kGrubUefi = "grub-uefi";  // a file system (FAT) with GRUB for UEFI

// The limits that parse_manifest() holds a manifest to.
inline constexpr Bytes kManifestLimit = mebibytes(1);
inline constexpr std::size_t kComponentsLimit = 64;
inline constexpr std::size_t kKernelsLimit = 16;
inline constexpr std::size_t kNameLimit = 64;
inline constexpr std::size_t kTextLimit = 256;
inline constexpr Bytes kComponentSizeLimit{std::uint64_t{1} << 40};

struct Component {
  std::string name;
  std::string file;  // where the medium holds it: "rookery/<name>"
  Digest256 sha256{};
  Bytes size;
  friend bool operator==(const Component&, const Component&) = default;
};

struct KernelVersion {
  std::string component;  // "linux-uml" or "vmlinuz"
  std::string version;    // as uname says it
  friend bool operator==(const KernelVersion&, const KernelVersion&) = default;
};

struct Distribution {
  std::string id;        // "debian", as in os-release
  std::string version;   // "12"
  Digest256 packages{};  // over the sorted "package version" lines
  friend bool operator==(const Distribution&, const Distribution&) = default;
};

struct Manifest {
  std::string name;
  std::string version;
  Distribution distribution;
  std::int64_t created = 0;  // seconds since 1970, of the newest input: the same inputs give the same number
  std::vector<KernelVersion> kernels;
  std::vector<Component> components;

  // The component of that name, or nullptr.
  const Component* find(std::string_view component) const;
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// True for what may name an image or a component: a-z, 0-9, '.', '_', '-', not first a sign, at most
// kNameLimit.
bool is_name(std::string_view text);

// The component with the packages of a role, "role-web.fb99078a.squashfs": in its name is the digest of what
// they are called, so that the layer of an older manifest of the role is none of it.
inline constexpr std::string_view kLayerPrefix = "role-";
std::string layer_component(std::string_view role, const std::vector<std::string>& packages);

std::string to_json(const Manifest& manifest);
// Strict: a field that is missing, unknown, of another type or out of bounds is an error that names it.
Result<Manifest> parse_manifest(std::string_view json);
// What the store knows the image by: the SHA-256 of to_json().
Digest256 digest_of(const Manifest& manifest);

}  // namespace rookery::images
