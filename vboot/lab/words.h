// The words that a lab file chooses from, and what a word of its own may be.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rookery::vboot {

// Which of them can be used on this host, the command's main knows.
inline constexpr std::array<std::string_view, 5> kBackendWords{"uml", "qemu", "libvirt", "xen", "fake"};

// The drivers of libvirt that a URI may name, before "+transport" and "://".
inline constexpr std::array<std::string_view, 5> kUriDrivers{"qemu", "test", "xen", "lxc", "esx"};

// Of machines with firmware, in the order of backends::Chipset, Firmware, NicModel, DiskModel and Graphics.
inline constexpr std::array<std::string_view, 5> kChipsetWords{"pc", "q35", "microvm", "pv", "pvh"};
inline constexpr std::array<std::string_view, 2> kFirmwareWords{"bios", "uefi"};
inline constexpr std::array<std::string_view, 7> kNicWords{"virtio",  "e1000e", "e1000", "rtl8139",
                                                           "vmxnet3", "pcnet",  "ne2k"};
inline constexpr std::array<std::string_view, 9> kDiskWords{"virtio", "sata",   "ide", "nvme", "scsi",
                                                            "lsi",    "pvscsi", "usb", "cdrom"};
inline constexpr std::array<std::string_view, 6> kGraphicsWords{"none", "std",    "virtio",
                                                                "qxl",  "cirrus", "vmware"};

// Of QEMU's machines, in the order of backends::Wire.
inline constexpr std::array<std::string_view, 4> kWireWords{"auto", "vhost-user", "stream", "datagram"};

// How a client reaches the system that it shares with the others, in the order of the words.
enum class RootKind { nbd, iscsi, aoe, nfs };
inline constexpr std::array<std::string_view, 4> kRootWords{"nbd", "iscsi", "aoe", "nfs"};
// Where a client keeps its own changes: in memory, or on the lab's one disk for writing, which one machine
// has at a time; a second is refused, or has them in memory.
enum class Changes { memory, disk, disk_or_memory };
inline constexpr std::array<std::string_view, 3> kChangesWords{"memory", "disk", "disk-or-memory"};
// What its firmware starts: a kernel by the boot script, or the medium as a disk on the network.
inline constexpr std::array<std::string_view, 2> kBootWords{"script", "san"};

// A lower-case name that starts with a letter and holds letters, digits and the characters of `also`.
bool is_name(std::string_view text, std::size_t longest, std::string_view also);
// RFC 1123 §2.1, lower case: labels of letters, digits and inner hyphens, between single dots.
bool is_domain(std::string_view text);

// "2027-03-01" or "2027-03-01 14:30:00", UTC, of the years 1970 to 2199: in seconds since 1970. Nothing if it
// is no such time.
std::optional<std::int64_t> parse_clock(std::string_view text);
std::string clock_text(std::int64_t seconds);
// The last one: the kernel's own clock, in nanoseconds, ends in 2262.
inline constexpr std::int64_t kLatestClock = 7'258'118'399;

}  // namespace rookery::vboot
