// Where libvirt's machines run, as a URI says it (https://libvirt.org/uri.html): "qemu:///session",
// "qemu+ssh://box/system". Plain values, read without asking anybody.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace rookery::backends {

enum class LibvirtDriver { qemu, test, xen, lxc, esx };

struct LibvirtUri {
  LibvirtDriver driver = LibvirtDriver::qemu;
  std::string transport;  // "ssh" of "qemu+ssh"; empty: the driver itself, or its daemon on this host
  std::string host;       // with user and port; empty: this host
  std::string path;       // "/session"
  std::string query;      // "root=/srv/vm"; without the question mark

  bool embedded() const { return path == "/embed" && driver == LibvirtDriver::qemu; }
  std::string embed_root() const;  // that it names; or empty
  // Its QEMU is a process of ours on this host: it reaches the sockets in a machine's private folder.
  bool runs_as_us() const;
  std::string text() const;
};

// An Error of kind usage names what is wrong and what there is.
Result<LibvirtUri> parse_libvirt_uri(std::string_view text);

// What a lab file means that names none: QEMU within our own process, without any daemon.
inline constexpr std::string_view kDefaultLibvirtUri = "qemu:///embed";

}  // namespace rookery::backends
