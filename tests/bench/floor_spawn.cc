// The floor that a boot is measured against: a bare fork and exec loop over User-Mode Linux kernels with a
// trivial init, no network and no code of ours. Prints the seconds from the first fork until every guest has
// printed its first line.
//
//   floor_spawn KERNEL INITRAMFS MEBIBYTES COUNT
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const std::string memory = std::string("mem=") + argv[3] + "M", initrd = std::string("initrd=") + argv[2];
  const int count = std::atoi(argv[4]);
  std::vector<pid_t> guests;
  std::vector<pollfd> consoles;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) {
    int out[2];
    if (pipe2(out, O_CLOEXEC) != 0) return 4;
    const pid_t guest = fork();
    if (guest == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      setpgid(0, 0);
      dup2(open("/dev/null", O_RDWR), 0);
      dup2(out[1], 1);
      dup2(out[1], 2);
      const std::string umid = "umid=floor" + std::to_string(i);
      execl(argv[1], argv[1], memory.c_str(), initrd.c_str(), "con=null", "con0=fd:0,fd:1", "seccomp=auto",
            "uml_dir=.", umid.c_str(), "quiet", nullptr);
      _exit(127);
    }
    close(out[1]);
    guests.push_back(guest);
    consoles.push_back({out[0], POLLIN, 0});
  }
  std::vector<std::string> said(consoles.size());
  int up = 0, ended = 0;
  while (up < count && ended == 0 && poll(consoles.data(), consoles.size(), 60'000) > 0) {
    for (std::size_t i = 0; i < consoles.size(); ++i) {
      if (consoles[i].revents == 0) continue;
      char block[4096];
      const ssize_t got = read(consoles[i].fd, block, sizeof block);
      if (got <= 0) {
        ++ended;
        continue;
      }
      said[i].append(block, static_cast<std::size_t>(got));
      if (said[i].find("floor reached") == std::string::npos) continue;
      ++up;
      consoles[i].fd = -1;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  for (const pid_t guest : guests) kill(-guest, SIGKILL);
  for (const pid_t guest : guests) waitpid(guest, nullptr, 0);
  if (up < count) {
    std::fprintf(stderr, "floor_spawn: only %d of %d guests came up; one said: %s\n", up, count,
                 said[0].c_str());
    return 1;
  }
  std::printf("%.3f\n", took.count());
  return 0;
}
