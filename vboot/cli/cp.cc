// `rookery cp`: a file or folder to a machine, or from one: a tar at one end, and at the other the same shell
// script, here or there. What arrives is unpacked beside its place, and has its name only when it is whole.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/command.h"
#include "base/signals.h"
#include "vboot/cli/stream_pump.h"

namespace rookery::vboot {
namespace {

namespace fs = std::filesystem;

// Takes a tar with one file or folder of the name $2 on standard input, and puts it to $1: into it, if that
// is a folder or ends with a slash. A folder of that name that is there is added to, file by file.
constexpr const char* kReceive = R"sh(set -eu
to=$1 name=$2
fail() { echo "rookery cp: $*" >&2; exit 1; }
case $to in */) [ -d "$to" ] || fail "there is no folder $to" ;; esac
if [ -d "$to" ]; then final=${to%/}/$name; else final=$to; fi
parent=$(dirname -- "$final")
[ -d "$parent" ] || fail "there is no folder $parent"
work=
trap '[ -z "$work" ] || rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM
# Whoever kills this script, however: what sees its end, from a session of its own, tidies up.
work=$(setsid sh -c 'work=$(mktemp -d -- "$1/.rookery-cp.XXXXXX") || exit 1
{ tail -s 0.1 --pid="$2" -f /dev/null; rm -rf -- "$work"; } >/dev/null 2>&1 &
echo "$work"' sh "$parent" $$) || fail "cannot write to $parent"
tar -C "$work" --no-same-owner -xpf - || fail "it did not arrive whole"
cat >/dev/null # tar need not have read the padding behind the archive's end
[ -e "$work/$name" ] || [ -L "$work/$name" ] || fail "$name did not arrive"
if [ -d "$final" ] && [ ! -L "$final" ] && [ -d "$work/$name" ]; then
  cd "$work/$name"
  find . -type d -exec sh -c 'final=$1; shift; for one; do mkdir -p -- "$final/$one"; done' sh "$final" {} +
  find . ! -type d -exec sh -c 'final=$1; shift; for one; do mv -fT -- "$one" "$final/$one"; done' sh "$final" {} +
  cd /
else
  mv -fT -- "$work/$name" "$final"
fi
)sh";

// The path's folder and its last part, of which a tar is made.
constexpr const char* kSend = R"sh(set -eu
from=$1
[ -e "$from" ] || [ -L "$from" ] || { echo "rookery cp: there is no $from" >&2; exit 1; }
exec tar -C "$(dirname -- "$from")" --owner=0 --group=0 --numeric-owner -b 128 -cf - -- "$(basename -- "$from")"
)sh";

std::vector<std::string> script(const char* text, std::initializer_list<std::string> words) {
  std::vector<std::string> argv{"/bin/sh", "-c", text, "sh"};
  argv.insert(argv.end(), words);
  return argv;
}

// A program of ours with a pipe to its input, or from its output. Killed unless it was waited for.
class Piped {
 public:
  static Result<Piped> start(std::vector<std::string> argv, int its_end) {
    int line[2];
    if (::pipe2(line, O_CLOEXEC) != 0) return fail_errno("no pipe");
    UniqueFd ours(line[its_end == 0 ? 1 : 0]), theirs(line[its_end == 0 ? 0 : 1]);
    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("no process");
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      ::setpgid(0, 0);
      ::signal(SIGINT, SIG_DFL);
      ::dup2(theirs.get(), its_end);
      std::vector<char*> words;
      for (std::string& word : argv) words.push_back(word.data());
      words.push_back(nullptr);
      restore_signals();
      ::execv(words[0], words.data());
      ::_exit(127);
    }
    return Piped(pid, std::move(ours));
  }
  Piped(Piped&& other) noexcept : pid_(std::exchange(other.pid_, -1)), line_(std::move(other.line_)) {}
  Piped& operator=(Piped&&) = delete;
  ~Piped() {
    if (pid_ < 0) return;
    // It and what it runs; it tidies up behind itself. A shell has nothing to say of this signal, and heeds
    // it when what it runs has ended: a program that it starts meanwhile hears of it by the end of its input.
    if (::kill(-pid_, SIGINT) != 0) ::kill(pid_, SIGINT);
    close();
    (void)wait();
  }
  int line() const { return line_.get(); }
  void close() { line_.reset(); }
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  Piped(pid_t pid, UniqueFd line) : pid_(pid), line_(std::move(line)) {}
  pid_t pid_;
  UniqueFd line_;
};

struct Remote {
  std::string machine, path;
};
// "n1:/path"; nothing if it is a path here. One with a slash before its colon is.
std::optional<Remote> remote_of(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0 || text.find('/') < colon) return std::nullopt;
  return Remote{text.substr(0, colon), text.substr(colon + 1)};
}

// The last part of a path, as dirname and basename see it.
Result<std::string> name_of(const fs::path& path, const std::string& said) {
  std::string name = path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
  if (name.empty() || name == "." || name == ".." || name == "/")
    return fail(ErrorKind::usage, "'" + said + "' has no name of its own that could be copied");
  return name;
}

tl::unexpected<Error> failed(const std::string& said) {
  return fail(ErrorKind::expectation, "'" + said + "' was not copied");
}

Result<int> copy_to(const LabChoice& lab, const std::string& from, const Remote& to) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(from, error)))
    return fail(ErrorKind::usage, "there is no file or folder '" + from + "'");
  const fs::path path = fs::absolute(from).lexically_normal();
  const auto name = name_of(path, from);
  if (!name) return tl::unexpected<Error>(name.error());
  auto stream = open_stream(
      lab, StreamRequest{to.machine, 0, script(kReceive, {to.path.empty() ? "/root" : to.path, *name})});
  if (!stream) return tl::unexpected<Error>(stream.error());
  auto tar = Piped::start(script(kSend, {(path.has_filename() ? path : path.parent_path()).string()}), 1);
  if (!tar) return tl::unexpected<Error>(tar.error());
  PumpEnds ends{tar->line(), 1, {}};
  // The machine is told of the end of a whole tar only; otherwise the stream breaks, and nothing is kept.
  ends.on_input_end = [&]() -> Status {
    if (tar->wait() != 0) return failed(from);
    return {};
  };
  auto code = pump(std::move(*stream), ends);
  if (!code) return code;
  if (*code != 0) return failed(from);
  return 0;
}

Result<int> copy_from(const LabChoice& lab, const Remote& from, const std::string& to) {
  const fs::path path = fs::path("/root") / from.path;  // relative: to the home that ssh would have
  const auto name = name_of(path.lexically_normal(), from.machine + ":" + from.path);
  if (!name) return tl::unexpected<Error>(name.error());
  const fs::path normal = path.lexically_normal();
  auto stream = open_stream(
      lab, StreamRequest{from.machine, 0,
                         script(kSend, {(normal.has_filename() ? normal : normal.parent_path()).string()})});
  if (!stream) return tl::unexpected<Error>(stream.error());
  auto tar = Piped::start(script(kReceive, {to, *name}), 0);
  if (!tar) return tl::unexpected<Error>(tar.error());
  const UniqueFd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ::fcntl(tar->line(), F_SETFL, O_NONBLOCK);
  // Ours stays open until all is known to be well: otherwise a signal comes before the end of the file.
  const int line = ::fcntl(tar->line(), F_DUPFD_CLOEXEC, 0);
  auto code = pump(std::move(*stream), PumpEnds{nothing.get(), line, {}});
  if (!code) return code;
  if (*code != 0) return failed(from.machine + ":" + from.path);
  tar->close();
  if (tar->wait() != 0) return failed(from.machine + ":" + from.path);
  return 0;
}

}  // namespace

Result<int> run_cp(const LabChoice& lab, const std::string& from, const std::string& to) {
  if (const auto tar = find_program("tar", "tar"); !tar) return tl::unexpected<Error>(tar.error());
  ::signal(SIGPIPE, SIG_IGN);
  const auto source = remote_of(from), destination = remote_of(to);
  if (source && destination)
    return fail(ErrorKind::usage, "from machine to machine it goes by way of here: copy twice");
  if (source) return copy_from(lab, *source, to);
  if (destination) return copy_to(lab, from, *destination);
  return fail(ErrorKind::usage, "neither '" + from + "' nor '" + to + "' is of a machine, as n1:/path is");
}

}  // namespace rookery::vboot
