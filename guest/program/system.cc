#include "guest/program/system.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "base/unique_fd.h"

namespace rookery::guest {
namespace {

std::string program_name = "guest";

// Removes what is on this file system below `folder`, and nothing that is mounted there.
void remove_below(int folder, dev_t device) {
  DIR* const entries = fdopendir(folder);
  if (entries == nullptr) {
    close(folder);
    return;
  }
  while (const dirent* entry = readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat info {};
    if (fstatat(dirfd(entries), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || info.st_dev != device)
      continue;
    if (S_ISDIR(info.st_mode)) {
      const int below = openat(dirfd(entries), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (below >= 0) remove_below(below, device);
      unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR);
    } else {
      unlinkat(dirfd(entries), entry->d_name, 0);
    }
  }
  closedir(entries);
}

}  // namespace

Time now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return Time{std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec)};
}

void set_program_name(std::string_view name) {
  program_name = name;
}

void say(std::string_view text) {
  std::string line = "rookery " + program_name + ": ";
  // A stranger's words (a script's, a server's) must not steer the terminal.
  for (char c : text.substr(0, 2000)) line += c >= ' ' && c != 127 ? c : '?';
  line += '\n';
  (void)!write(1, line.data(), line.size());
}

Result<std::string> read_text(const std::string& path, std::size_t limit) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno(path);
  std::string text;
  char chunk[4096];
  while (true) {
    const ssize_t count = read(file.get(), chunk, sizeof chunk);
    if (count < 0) return fail_errno(path);
    if (count == 0) return text;
    text.append(chunk, static_cast<std::size_t>(count));
    if (text.size() > limit) return fail(path + ": longer than " + std::to_string(limit) + " bytes");
  }
}

Status write_text(const std::string& path, std::string_view content, unsigned mode) {
  unlink(path.c_str());  // it may be a link into a place that must not be written
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!file) return fail_errno(path);
  while (!content.empty()) {
    const ssize_t count = write(file.get(), content.data(), content.size());
    if (count < 0) return fail_errno(path);
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  if (fchmod(file.get(), mode) != 0) return fail_errno(path);  // whatever the umask
  return {};
}

Status tell_kernel(const std::string& path, std::string_view content) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || write(file.get(), content.data(), content.size()) < 0) return fail_errno(path);
  return {};
}

void keep_when_memory_is_short() {
  (void)tell_kernel("/proc/self/oom_score_adj", "-1000");
}

void give_back_when_memory_is_short() {
  (void)tell_kernel("/proc/self/oom_score_adj", "0");
}

Status make_folders(const std::string& path) {
  for (std::size_t at = 1; at <= path.size(); ++at) {
    if (at < path.size() && path[at] != '/') continue;
    if (mkdir(path.substr(0, at).c_str(), 0755) != 0 && errno != EEXIST)
      return fail_errno(path.substr(0, at));
  }
  return {};
}

std::vector<std::string> list_folder(const std::string& path) {
  std::vector<std::string> names;
  DIR* const entries = opendir(path.c_str());
  if (entries == nullptr) return names;
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  closedir(entries);
  std::sort(names.begin(), names.end());
  return names;
}

Status mount_at(const char* source, const std::string& target, const char* type, unsigned long flags,
                const std::string& options) {
  ROOKERY_TRY(make_folders(target));
  if (mount(source, target.c_str(), type, flags, options.empty() ? nullptr : options.c_str()) != 0) {
    return fail_errno(std::string("mounting ") + source + " on " + target);
  }
  return {};
}

void mount_kernel_file_systems() {
  // What is mounted already (stage one's, for stage two) stays; a failure shows in whatever needs the folder.
  const auto mounted = [](const char* path) {
    struct stat here {
    }, above{};
    return stat(path, &here) == 0 && stat("/", &above) == 0 && here.st_dev != above.st_dev;
  };
  if (!mounted("/proc")) (void)mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  if (!mounted("/sys")) (void)mount_at("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  if (!mounted("/dev")) (void)mount_at("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
  if (!mounted("/run")) (void)mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
  (void)make_folders(kRunFolder);
  // The initramfs may have had no /dev/console when the kernel looked for it.
  const int console = open("/dev/console", O_RDWR | O_NOCTTY);
  if (console < 0) return;
  for (int standard = 0; standard <= 2; ++standard) dup2(console, standard);
  if (console > 2) close(console);
}

Status switch_root(const std::string& new_root) {
  struct stat old_root {};
  if (stat("/", &old_root) != 0) return fail_errno("/");
  for (const char* folder : {"/dev", "/proc", "/sys", "/run"}) {
    const std::string target = new_root + folder;
    ROOKERY_TRY(make_folders(target));
    if (mount(folder, target.c_str(), nullptr, MS_MOVE, nullptr) != 0) return fail_errno("moving " + target);
  }
  const int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (chdir(new_root.c_str()) != 0) return fail_errno(new_root);
  if (root >= 0) remove_below(root, old_root.st_dev);
  if (mount(".", "/", nullptr, MS_MOVE, nullptr) != 0) return fail_errno("moving the new root to /");
  if (chroot(".") != 0 || chdir("/") != 0) return fail_errno("entering the new root");
  return {};
}

Status run_program(const std::vector<std::string>& argv, Duration limit, const std::string& folder,
                   const std::string& growing) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  UniqueFd errors(ends[0]), child_end(ends[1]);
  const pid_t child = fork();
  if (child < 0) return fail_errno("fork");
  if (child == 0) {
    setsid();
    give_back_when_memory_is_short();
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(child_end.get(), 1);
    dup2(child_end.get(), 2);
    std::vector<char*> words;
    for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char* environment[] = {path, nullptr};
    if (chdir(folder.c_str()) == 0) execve(words[0], words.data(), environment);
    dprintf(2, "%s: %s\n", words[0], strerror(errno));
    _exit(127);
  }
  child_end.reset();
  Time end = now() + limit;
  off_t grown = 0;
  bool late = false;
  std::string words;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - now()).count();
    pollfd waiting{errors.get(), POLLIN, 0};
    const int ready = poll(&waiting, 1, static_cast<int>(std::clamp<long long>(left + 1, 0, 1 << 30)));
    if (ready < 0 && errno == EINTR) continue;
    struct stat file {};
    if (ready == 0 && !growing.empty() && stat(growing.c_str(), &file) == 0 && file.st_size > grown) {
      grown = file.st_size;
      end = now() + limit;
      continue;
    }
    if (ready == 0) {
      late = true;
      if (kill(-child, SIGKILL) != 0) kill(child, SIGKILL);  // it may not lead its own group yet
      break;
    }
    char chunk[512];
    const ssize_t count = read(errors.get(), chunk, sizeof chunk);
    if (count <= 0) break;
    words.append(chunk, static_cast<std::size_t>(count));
    if (words.size() > 4096) words.erase(0, words.size() - 2048);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (late) {
    const auto milliseconds = limit / std::chrono::milliseconds(1);
    return fail("gave up after " + (milliseconds % 1000 == 0 ? std::to_string(milliseconds / 1000) + " s"
                                                             : std::to_string(milliseconds) + " ms"));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  // The last line says what went wrong.
  while (words.ends_with('\n')) words.pop_back();
  words.erase(0, words.find_last_of('\n') + 1);
  if (!words.empty()) return fail(words);
  return fail(WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status))
                                : "killed by signal " + std::to_string(WTERMSIG(status)));
}

std::string command_line_value(std::string_view command_line, std::string_view key) {
  std::string value;
  const std::string prefix = std::string(key) + "=";
  while (!command_line.empty()) {
    const std::size_t end = std::min(command_line.find_first_of(" \n\t"), command_line.size());
    const std::string_view word = command_line.substr(0, end);
    if (word.starts_with(prefix)) value = word.substr(prefix.size());
    command_line.remove_prefix(std::min(end + 1, command_line.size()));
  }
  return value;
}

std::string kernel_command_line() {
  return read_text("/proc/cmdline").value_or("");
}

bool runs_in_user_mode_linux() {
  return read_text("/proc/cpuinfo").value_or("").find("User Mode Linux") != std::string::npos;
}

namespace {

[[noreturn]] void leave(int how) {
  if (getpid() != 1) _exit(1);
  sync();
  reboot(how);
  while (true) pause();  // a machine without power control: PID 1 must not end
}

}  // namespace

void power_off() {
  leave(RB_POWER_OFF);
}

void restart() {
  leave(RB_AUTOBOOT);
}

}  // namespace rookery::guest
