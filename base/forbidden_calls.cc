#include "base/forbidden_calls.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>

namespace rookery {
namespace {

#if defined(__x86_64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "forbidden_calls() does not know this architecture's number (linux/audit.h)"
#endif

// Numbers that are later than Debian 12's headers are the same everywhere (scripts/syscall.tbl).
constexpr unsigned kOpenTreeAttr = 467;

// As if this kernel did not have them: programs have another way then.
constexpr unsigned kNotHere[] = {
    SYS_clone3,  // its flags lie in memory, where a filter does not see them; clone() does the same
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
};

constexpr unsigned kNotPermitted[] = {
    // another view of the host's files
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    kOpenTreeAttr,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_fanotify_init,
    SYS_quotactl,
    SYS_quotactl_fd,
    // other namespaces
    SYS_unshare,
    SYS_setns,
    SYS_sethostname,
    SYS_setdomainname,
    // other processes
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_pidfd_getfd,
    SYS_kcmp,
    SYS_migrate_pages,
    SYS_move_pages,
    SYS_perf_event_open,
    SYS_userfaultfd,
    // the host's kernel and its state
    SYS_bpf,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_kexec_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_syslog,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_vhangup,
    SYS_nfsservctl,
    SYS_lookup_dcookie,
#if defined(__x86_64__)
    SYS_kexec_file_load,
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_uselib,
    SYS_ustat,
    SYS_sysfs,
    SYS__sysctl,
#endif
};

constexpr unsigned kNewNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

constexpr unsigned at(std::size_t offset) {
  return static_cast<unsigned>(offset);
}
constexpr unsigned argument(int number) {  // its lower half: these machines are little-endian
  return at(offsetof(seccomp_data, args)) + static_cast<unsigned>(number) * sizeof(__u64);
}

class Program {
 public:
  void load(unsigned offset) { add(BPF_LD | BPF_W | BPF_ABS, offset); }
  void refuse(int error) { add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)); }
  void allow() { add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW); }
  // What follows, so many steps of it, is for this number only; or for any other.
  void only_if(unsigned value, __u8 steps) { step(BPF_JMP | BPF_JEQ | BPF_K, value, 0, steps); }
  void unless(unsigned value, __u8 steps) { step(BPF_JMP | BPF_JEQ | BPF_K, value, steps, 0); }
  void only_if_any(unsigned bits, __u8 steps) { step(BPF_JMP | BPF_JSET | BPF_K, bits, 0, steps); }
  void only_from(unsigned least, __u8 steps) { step(BPF_JMP | BPF_JGE | BPF_K, least, 0, steps); }

  std::vector<sock_filter> take() { return std::move(steps_); }

 private:
  void add(int code, unsigned value) { step(code, value, 0, 0); }
  void step(int code, unsigned value, __u8 if_true, __u8 if_false) {
    steps_.push_back(sock_filter{static_cast<__u16>(code), if_true, if_false, value});
  }
  std::vector<sock_filter> steps_;
};

}  // namespace

std::vector<sock_filter> forbidden_calls(bool traces) {
  Program program;
  program.load(at(offsetof(seccomp_data, arch)));
  program.unless(kArchitecture, 1);
  program.refuse(ENOSYS);  // the calls of 32-bit programs, which have numbers of their own
  program.load(at(offsetof(seccomp_data, nr)));
#if defined(__x86_64__)
  constexpr unsigned kX32 = 0x40000000;
  program.only_from(kX32, 1);
  program.refuse(ENOSYS);
#endif
  for (const unsigned number : kNotHere) {
    program.only_if(number, 1);
    program.refuse(ENOSYS);
  }
  for (const unsigned number : kNotPermitted) {
    program.only_if(number, 1);
    program.refuse(EPERM);
  }
  if (!traces) {
    program.only_if(SYS_ptrace, 1);
    program.refuse(EPERM);
  }
  // Sockets by paths only: not the host's network, its loopback, its kernel (netlink), its neighbours
  // (vsock).
  program.only_if(SYS_socket, 4);
  program.load(argument(0));
  program.unless(AF_UNIX, 1);
  program.refuse(EAFNOSUPPORT);
  program.allow();
  program.only_if(SYS_clone, 4);
  program.load(argument(0));
  program.only_if_any(kNewNamespaces, 1);
  program.refuse(EPERM);
  program.allow();
  // The limits of its own and of nobody else.
  program.only_if(SYS_prlimit64, 4);
  program.load(argument(0));
  program.unless(0, 1);
  program.refuse(EPERM);
  program.allow();
  program.allow();
  return program.take();
}

}  // namespace rookery
