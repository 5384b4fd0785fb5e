// What a guest's process is kept from, and by what. Where the host allows it, three walls, each of its own:
//
// - namespaces: of the host's files it sees those that are named here and nothing else, so that it can
// neither
//   open another nor connect to a socket by its path; of the host's processes its own; of the host's network
//   nothing, not even loopback and sockets without a file; no capability;
// - Landlock (Linux 5.13): the named files once more, and from Linux 6.12 on no signal to others;
// - seccomp: no system call that a guest's kernel or a hypervisor never needs.
//
// Where the host forbids user namespaces, the other two stand alone, and then it can connect to a socket
// whose path it knows. What a host has is tried once; what was found is what every child gets, or it does not
// start.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace rookery {

struct Confinement {
  std::vector<std::filesystem::path> read_only;  // and to be executed; what is not there is left out
  std::vector<std::filesystem::path> read_write;
  bool traces = false;              // it may trace its children (a User-Mode Linux kernel without seccomp)
  bool without_namespaces = false;  // as on a host that forbids them
};

struct HostWalls {
  bool namespaces = false, seccomp = false;
  int landlock = 0;           // its version
  std::string no_namespaces;  // why there are none: "unshare: Operation not permitted"

  bool whole() const { return namespaces && seccomp && landlock > 0; }
  // What holds a guest's process here, and what does not: for who reads `ps` and `doctor`.
  std::string describe() const;
};
HostWalls try_walls();          // by a child that does what a confined one does
const HostWalls& host_walls();  // the same, tried once

// Made before a fork; raised by the child, which allocates nothing then.
class Walls {
 public:
  static Result<Walls> prepare(const Confinement& confinement, const HostWalls& host);

  // What could not be done, with errno set, or nothing. The working folder is then "/".
  const char* raise();

 private:
  enum class Kind : std::uint8_t { folder, file, link };
  struct Place {
    Kind kind;
    std::string path, target;  // path without its first '/'
  };
  struct Bind {
    std::string path;  // on the host, and there
    bool writable;
    int tree = -1;
  };

  Walls() = default;
  Status resolve(const std::filesystem::path& path, bool writable);
  void lay_out();
  Status make_ruleset(const Confinement& confinement, int version);
  const char* leave_host();
  const char* furnish();

  bool namespaces_ = false;
  std::string user_map_, group_map_;
  std::vector<Place> places_;
  std::vector<Bind> binds_;
  UniqueFd ruleset_;
  std::uint64_t own_process_access_ = 0;
  std::vector<sock_filter> filter_;
};

}  // namespace rookery
