#include "base/confinement.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/forbidden_calls.h"

namespace rookery {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kRead =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWrite = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK;
constexpr std::uint64_t kHandled = kRead | kWrite | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                   LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                                   LANDLOCK_ACCESS_FS_MAKE_SYM;
constexpr std::uint64_t kOnFiles =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;

// What linux/landlock.h has in later kernels than Debian's headers, and since which version of Landlock. What
// a rule set does not handle is allowed: a file could be emptied by its name.
constexpr int kTruncateSince = 3, kNetworkSince = 4, kScopesSince = 6;
constexpr std::uint64_t kTruncate = 1 << 14;         // LANDLOCK_ACCESS_FS_TRUNCATE
constexpr std::uint64_t kNetwork = 1 << 0 | 1 << 1;  // LANDLOCK_ACCESS_NET_BIND_TCP, _CONNECT_TCP
constexpr std::uint64_t kScopes = 1 << 0 | 1 << 1;   // LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, _SIGNAL
struct RulesetAttributes {                           // struct landlock_ruleset_attr
  std::uint64_t handled_access_fs = 0, handled_access_net = 0, scoped = 0;
};

constexpr unsigned kNamespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
constexpr const char* kOwnProcess = "/proc/self";
constexpr const char* kHostName = "rookery";

int landlock_version() {
  const auto version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version < 0 ? 0 : static_cast<int>(version);
}

bool is_below(const std::string& path, const std::string& folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

bool is_missing(int error) {
  return error == ENOENT || error == ENOTDIR;
}

Status allow(const UniqueFd& ruleset, const fs::path& path, std::uint64_t access) {
  const UniqueFd parent(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!parent && is_missing(errno)) return {};  // what is not there need not be reached
  if (!parent) return fail_errno("cannot open " + path.string());
  struct stat status {};
  if (::fstat(parent.get(), &status) != 0) return fail_errno("cannot look at " + path.string());
  landlock_path_beneath_attr rule{};
  rule.allowed_access = S_ISDIR(status.st_mode) ? access : access & (kOnFiles | kTruncate);
  rule.parent_fd = parent.get();
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    return fail_errno("Landlock takes no rule for " + path.string());
  return {};
}

// The calls of a child between its fork and its exec: none of them allocates.

bool write_all(const char* file, std::string_view text) {
  const int fd = ::open(file, O_WRONLY | O_CLOEXEC);
  const bool good = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int saved = errno;
  if (fd >= 0) ::close(fd);
  errno = saved;
  return good;
}

int clone_tree(const char* path, bool writable) {
  const int tree = static_cast<int>(
      ::syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (tree < 0) return tree;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID | (writable ? 0 : MOUNT_ATTR_RDONLY);
  const long set =
      ::syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes);
  if (set == 0) return tree;
  const int saved = errno;
  ::close(tree);
  errno = saved;
  return -1;
}

bool attach(int tree, const char* path) {
  const long moved = ::syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
  const int saved = errno;
  ::close(tree);
  errno = saved;
  return moved == 0;
}

// Nothing gives them back, not even a program that root starts (capabilities(7), "securebits").
bool give_up_capabilities() {
  ::prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0);  // refused to who has none
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return ::syscall(SYS_capset, &header, none) == 0;
}

}  // namespace

std::string HostWalls::describe() const {
  std::string text = namespaces ? "namespaces of their own" : "";
  const auto add = [&](std::string what) { text += (text.empty() ? "" : ", ") + std::move(what); };
  if (landlock > 0) add("Landlock " + std::to_string(landlock));
  if (seccomp) add("seccomp");
  if (text.empty()) text = "nothing";
  if (!namespaces)
    text += "; without user namespaces (" + no_namespaces +
            ") they can connect to any unix socket of this user whose path they know";
  if (landlock == 0) text += "; this kernel has no Landlock";
  if (!seccomp) text += "; this kernel has no seccomp filters";
  return text;
}

Result<Walls> Walls::prepare(const Confinement& confinement, const HostWalls& host) {
  Walls walls;
  walls.namespaces_ = host.namespaces && !confinement.without_namespaces;
  for (const fs::path& path : confinement.read_only) ROOKERY_TRY(walls.resolve(path, false));
  for (const fs::path& path : confinement.read_write) ROOKERY_TRY(walls.resolve(path, true));
  walls.lay_out();
  const std::string user = std::to_string(::geteuid()), group = std::to_string(::getegid());
  walls.user_map_ = user + " " + user + " 1";
  walls.group_map_ = group + " " + group + " 1";
  if (host.landlock > 0) ROOKERY_TRY(walls.make_ruleset(confinement, host.landlock));
  if (host.seccomp) walls.filter_ = forbidden_calls(confinement.traces);
  return walls;
}

// Follows the links in a path, and keeps them: a program is to find its files by the same names.
Status Walls::resolve(const fs::path& path, bool writable) {
  if (!path.is_absolute()) return fail("not an absolute path: " + path.string());
  constexpr int kLinks = 40;  // as the kernel (path_resolution(7))
  fs::path rest = path.lexically_normal(), done = "/";
  for (int links = 0; links < kLinks;) {
    auto part = rest.begin();
    for (++part; part != rest.end() && (part->empty() || *part == "."); ++part) {
    }
    if (part == rest.end()) {
      if (done == "/") return fail("the whole of the host's files is no confinement");
      binds_.push_back({done.string(), writable});
      return {};
    }
    const fs::path here = done / *part;
    fs::path beyond = "/";
    for (++part; part != rest.end(); ++part) beyond /= *part;
    struct stat status {};
    if (::lstat(here.c_str(), &status) != 0) {
      if (is_missing(errno)) return {};
      return fail_errno("cannot look at " + here.string());
    }
    if (!S_ISLNK(status.st_mode)) {
      done = here;
      rest = beyond;
      continue;
    }
    std::error_code error;
    const fs::path target = fs::read_symlink(here, error);
    if (error) return fail("cannot read the link " + here.string() + ": " + error.message());
    places_.push_back({Kind::link, here.string(), target.string()});
    rest = ((target.is_absolute() ? target : done / target) / beyond.relative_path()).lexically_normal();
    done = "/";
    ++links;
  }
  return fail("too many links in " + path.string());
}

// What has to be there before the binds can be: their folders, and something to lay each of them over.
void Walls::lay_out() {
  std::stable_sort(binds_.begin(), binds_.end(), [](const Bind& a, const Bind& b) {
    return a.path != b.path ? a.path < b.path : a.writable > b.writable;
  });
  std::vector<Bind> needed;
  const auto holder = [&](const std::string& path) {
    return std::find_if(needed.rbegin(), needed.rend(),
                        [&](const Bind& one) { return one.path == path || is_below(path, one.path); });
  };
  std::vector<Place> links = std::move(places_), folders, files;
  places_.clear();
  const auto add_folders_of = [&](const std::string& path) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
      folders.push_back({Kind::folder, path.substr(1, slash - 1), {}});
  };
  const auto add_bind = [&](const Bind& bind) {
    const auto above = holder(bind.path);
    if (above != needed.rend() && (above->path == bind.path || above->writable || !bind.writable)) return;
    if (above == needed.rend()) {
      struct stat status {};
      const bool folder = ::stat(bind.path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
      add_folders_of(bind.path);
      (folder ? folders : files).push_back({folder ? Kind::folder : Kind::file, bind.path.substr(1), {}});
    }
    needed.push_back(bind);
  };
  for (const Bind& bind : binds_) add_bind(bind);
  add_folders_of(std::string(kOwnProcess) + "/");
  for (Place& link : links) {
    if (holder(link.path) != needed.rend()) continue;  // it is there with the folder that it lies in
    add_folders_of(link.path);
    link.path.erase(0, 1);
  }
  std::erase_if(links, [](const Place& link) { return link.path.starts_with('/'); });
  for (std::vector<Place>* list : {&folders, &links, &files}) {
    std::sort(list->begin(), list->end(), [](const Place& a, const Place& b) { return a.path < b.path; });
    list->erase(std::unique(list->begin(), list->end(),
                            [](const Place& a, const Place& b) { return a.path == b.path; }),
                list->end());
    places_.insert(places_.end(), list->begin(), list->end());
  }
  binds_ = std::move(needed);
}

Status Walls::make_ruleset(const Confinement& confinement, int version) {
  const std::uint64_t truncate = version >= kTruncateSince ? kTruncate : 0;
  RulesetAttributes attributes;
  attributes.handled_access_fs = kHandled | truncate;
  if (version >= kNetworkSince) attributes.handled_access_net = kNetwork;
  if (version >= kScopesSince) attributes.scoped = kScopes;
  ruleset_ =
      UniqueFd(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!ruleset_) return fail_errno("Landlock makes no rule set");
  for (const auto& path : confinement.read_only) ROOKERY_TRY(allow(ruleset_, path, kRead));
  for (const auto& path : confinement.read_write)
    ROOKERY_TRY(allow(ruleset_, path, kRead | kWrite | truncate));
  own_process_access_ = kRead;
  return {};
}

const char* Walls::leave_host() {
  if (::unshare(kNamespaces) != 0) return "unshare";
  if (!write_all("/proc/self/setgroups", "deny")) return "/proc/self/setgroups";
  if (!write_all("/proc/self/uid_map", user_map_)) return "/proc/self/uid_map";
  if (!write_all("/proc/self/gid_map", group_map_)) return "/proc/self/gid_map";
  if (::sethostname(kHostName, std::strlen(kHostName)) != 0) return "sethostname";
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "mount /";
  for (Bind& bind : binds_) {
    bind.tree = clone_tree(bind.path.c_str(), bind.writable);
    if (bind.tree < 0) return bind.path.c_str();
  }
  return furnish();
}

// A small file system of its own becomes the root. It is laid over a folder that every host has.
const char* Walls::furnish() {
  constexpr const char* kOver = "/proc";
  const int own_process = clone_tree(kOwnProcess, false);
  if (own_process < 0) return kOwnProcess;
  if (::mount("rookery", kOver, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=1m") != 0)
    return "mount tmpfs";
  if (::chdir(kOver) != 0) return "chdir";
  for (const Place& place : places_) {
    const char* path = place.path.c_str();
    if (place.kind == Kind::link) {
      if (::symlink(place.target.c_str(), path) != 0) return path;
    } else if ((place.kind == Kind::folder ? ::mkdir(path, 0755) : ::mknod(path, S_IFREG | 0600, 0)) != 0) {
      return path;
    }
  }
  for (const Bind& bind : binds_) {
    if (!attach(bind.tree, bind.path.c_str() + 1)) return bind.path.c_str();
  }
  if (!attach(own_process, kOwnProcess + 1)) return kOwnProcess;
  // The old root then lies over the new one (pivot_root(2), "pivot_root(".", ".")").
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return "pivot_root";
  if (::umount2(".", MNT_DETACH) != 0) return "umount /";
  if (::chdir("/") != 0) return "chdir /";
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  if (::syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &read_only, sizeof read_only) != 0)
    return "mount_setattr /";
  return nullptr;
}

const char* Walls::raise() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return "no_new_privs";
  if (namespaces_) {
    if (const char* failed = leave_host()) return failed;
  }
  if (!give_up_capabilities()) return "capset";
  if (ruleset_) {
    landlock_path_beneath_attr own{};
    own.allowed_access = own_process_access_;
    own.parent_fd = ::open(kOwnProcess, O_PATH | O_CLOEXEC);
    if (own.parent_fd < 0) return kOwnProcess;
    if (::syscall(SYS_landlock_add_rule, ruleset_.get(), LANDLOCK_RULE_PATH_BENEATH, &own, 0) != 0)
      return "landlock_add_rule";
    ::close(own.parent_fd);
    if (::syscall(SYS_landlock_restrict_self, ruleset_.get(), 0) != 0) return "landlock_restrict_self";
  }
  if (!filter_.empty()) {
    const sock_fprog program{static_cast<unsigned short>(filter_.size()), filter_.data()};
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) return "seccomp";
  }
  return nullptr;
}

HostWalls try_walls() {
  HostWalls found;
  found.landlock = landlock_version();
  found.seccomp = ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
  Confinement trial;
  trial.read_only = {"/dev/null"};
  trial.read_write = {"/dev/shm"};
  HostWalls wanted;
  wanted.namespaces = true;
  int line[2];
  auto walls = Walls::prepare(trial, wanted);
  if (!walls || ::pipe2(line, O_CLOEXEC) != 0) {
    found.no_namespaces = walls ? std::strerror(errno) : walls.error().message;
    return found;
  }
  const UniqueFd from_child(line[0]);
  UniqueFd to_parent(line[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    struct {
      int error = 0;
      char step[64] = {};
    } said;
    if (const char* failed = walls->raise()) {
      said.error = errno;
      std::strncpy(said.step, failed, sizeof said.step - 1);
    }
    (void)!::write(to_parent.get(), &said, sizeof said);
    ::_exit(0);
  }
  to_parent.reset();
  struct {
    int error = EAGAIN;
    char step[64] = "fork";
  } said;
  if (child > 0) {
    while (::read(from_child.get(), &said, sizeof said) < 0 && errno == EINTR) {
    }
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  said.step[sizeof said.step - 1] = '\0';
  found.namespaces = said.error == 0;
  if (!found.namespaces) found.no_namespaces = std::string(said.step) + ": " + std::strerror(said.error);
  return found;
}

const HostWalls& host_walls() {
  static const HostWalls found = try_walls();
  return found;
}

}  // namespace rookery
