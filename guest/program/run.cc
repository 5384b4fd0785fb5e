#include "guest/program/run.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "guest/program/system.h"

namespace rookery::guest {
namespace {

// The machine's own addresses in the order in which a port is tried, the first one last: its loopback, and
// then those of its interfaces, for a service may listen at one of them only.
std::vector<in_addr> own_addresses(int socket) {
  ifreq interfaces[64];
  ifconf list{};
  list.ifc_len = sizeof interfaces;
  list.ifc_req = interfaces;
  std::vector<in_addr> found;
  if (ioctl(socket, SIOCGIFCONF, &list) == 0) {
    for (std::size_t i = static_cast<std::size_t>(list.ifc_len) / sizeof(ifreq); i-- > 0;) {
      sockaddr_in address{};
      std::memcpy(&address, &interfaces[i].ifr_addr, sizeof address);
      if (address.sin_family == AF_INET && address.sin_addr.s_addr != htonl(INADDR_LOOPBACK))
        found.push_back(address.sin_addr);
    }
  }
  found.push_back({htonl(INADDR_LOOPBACK)});
  return found;
}

struct Pipe {
  UniqueFd reader, writer;
  static Result<Pipe> make() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno("no pipe");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
};

}  // namespace

[[noreturn]] void become(const std::vector<std::string>& argv) {
  give_back_when_memory_is_short();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);  // which the agent ignores, and a program would inherit
  static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  static char home[] = "HOME=/root";
  static char term[] = "TERM=linux";
  static char mask[] = "OPENSSL_ia32cap=~0x4000000000000000:~0x40000";  // see stage_two.cc
  static char* environment[] = {path, home, term, mask, nullptr};
  environ = environment;
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  if (chdir("/") == 0) execvp(words[0], words.data());
  dprintf(2, "%s: %s\n", words[0], strerror(errno));
  _exit(127);
}

Result<Run> Run::program(const std::vector<std::string>& argv, bool is_stream) {
  Result<Pipe> out = Pipe::make(), err = Pipe::make(), in = Pipe::make();
  for (const Result<Pipe>* made : {&out, &err, &in}) {
    if (!*made) return tl::unexpected<Error>(made->error());
  }
  Run run(is_stream);
  run.pid_ = fork();
  if (run.pid_ < 0) return fail_errno("no process");
  if (run.pid_ == 0) {
    setsid();
    if (!is_stream) in->reader = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    dup2(in->reader.get(), 0);
    dup2(out->writer.get(), 1);
    dup2(err->writer.get(), 2);
    become(argv);
  }
  run.out_ = std::move(out->reader);
  run.err_ = std::move(err->reader);
  if (is_stream) run.in_ = std::move(in->writer);
  // Ours only: the child's ends must block when nobody reads.
  for (const UniqueFd* end : {&run.out_, &run.err_, &run.in_}) {
    if (*end) fcntl(end->get(), F_SETFL, O_NONBLOCK);
  }
  return run;
}

Result<Run> Run::connection(std::uint16_t port) {
  Run run(true);
  run.port_ = port;
  const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!any) return fail_errno("no socket");
  run.addresses_ = own_addresses(any.get());
  while (!run.addresses_.empty() && !run.connect_next()) {
  }
  return run;
}

// Tries the next address; false if nothing listens there.
bool Run::connect_next() {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port_);
  to.sin_addr = addresses_.back();
  addresses_.pop_back();
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool done = fd && connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  if (!done && (!fd || errno != EINPROGRESS)) {
    failure_ = strerror(errno);
    return false;
  }
  connecting_ = !done;
  failure_.clear();
  in_ = UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  out_ = std::move(fd);
  return true;
}

void Run::finish_connecting() {
  pollfd waiting{out_.get(), POLLOUT, 0};
  if (poll(&waiting, 1, 0) <= 0) return;
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(out_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  connecting_ = false;
  if (error == 0) return;
  failure_ = strerror(error);
  in_.reset();
  out_.reset();
  while (!addresses_.empty() && !connect_next()) {
  }
}

void Run::wait_for(std::vector<pollfd>& waiting, bool has_room) const {
  if (in_ && (connecting_ || written_ < input_.size())) waiting.push_back({in_.get(), POLLOUT, 0});
  // Output waits in its pipe while the channel is full, or nobody takes it outside: its writer waits, too.
  if (!has_room || connecting_ || (is_stream_ && credit_ == 0)) return;
  for (const UniqueFd* pipe : {&out_, &err_}) {
    if (*pipe) waiting.push_back({pipe->get(), POLLIN, 0});
  }
}

void Run::service(std::uint32_t request, Management& management) {
  if (connecting_) finish_connecting();
  if (connecting_) return;
  send_input(request, management);
  forward(request, out_, agent::Stream::out, management);
  forward(request, err_, agent::Stream::err, management);
  if (!failure_.empty() && !out_) {
    const std::string text =
        "nothing to connect to at port " + std::to_string(port_) + ": " + failure_ + "\n";
    const ByteView bytes = as_bytes(text);
    management.send(agent::Output{request, agent::Stream::err, ByteBuffer(bytes.begin(), bytes.end())});
    failure_.clear();
    status_ = 1 << 8;  // as of a program that ended with 1
  }
}

void Run::take_input(ByteView bytes) {
  if (bytes.empty()) {
    input_ends_ = true;
  } else if (input_.size() - written_ + bytes.size() > agent::kStreamWindow) {
    kill();
  } else {
    input_.insert(input_.end(), bytes.begin(), bytes.end());
  }
}

// What nobody reads any more is taken too, so that who sends it comes to its end.
void Run::send_input(std::uint32_t request, Management& management) {
  while (written_ < input_.size()) {
    const std::size_t left = input_.size() - written_;
    ssize_t count = static_cast<ssize_t>(left);
    if (in_) count = write(in_.get(), input_.data() + written_, left);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count < 0) {
      in_.reset();
      continue;
    }
    written_ += static_cast<std::size_t>(count);
    not_told_ += static_cast<std::uint32_t>(count);
  }
  if (written_ == input_.size()) {
    input_.clear();
    written_ = 0;
    if (input_ends_ && in_) {
      if (pid_ < 0) shutdown(in_.get(), SHUT_WR);  // the connection's other direction goes on
      in_.reset();
    }
  }
  if (not_told_ < agent::kStreamTakenEvery) return;
  management.send(agent::Taken{request, not_told_});
  not_told_ = 0;
}

// Pieces of the output; closes the pipe at its end. After the process has ended, an empty pipe ends too: what
// it left behind may hold the pipe open for ever.
void Run::forward(std::uint32_t request, UniqueFd& pipe, agent::Stream stream, Management& management) {
  std::uint8_t chunk[kChunk];
  while (pipe && management.has_room(2 * kChunk)) {
    const std::size_t most = is_stream_ ? std::min<std::uint64_t>(credit_, sizeof chunk) : sizeof chunk;
    if (most == 0) return;
    const ssize_t count = read(pipe.get(), chunk, most);
    if (count > 0) {
      if (is_stream_) credit_ -= static_cast<std::uint64_t>(count);
      management.send(agent::Output{request, stream, ByteBuffer(chunk, chunk + count)});
      continue;
    }
    const bool over = pid_ >= 0 && status_.has_value();
    if (count == 0 || (errno == EAGAIN && over) || (errno != EAGAIN && errno != EINTR)) {
      pipe.reset();
      if (is_stream_ && stream == agent::Stream::out)
        management.send(agent::Output{request, stream, ByteBuffer()});
    }
    return;
  }
}

std::optional<agent::Exited> Run::finished(std::uint32_t request) const {
  if (out_ || err_) return std::nullopt;
  if (pid_ < 0 && !status_) {  // a connection: over when both directions are
    if (in_) return std::nullopt;
    return agent::Exited{request, false, 0};
  }
  if (!status_) return std::nullopt;
  const bool by_signal = WIFSIGNALED(*status_);
  const int code = by_signal ? WTERMSIG(*status_) : WEXITSTATUS(*status_);
  return agent::Exited{request, by_signal, static_cast<std::uint8_t>(code)};
}

void Run::kill() {
  if (pid_ < 0) {
    in_.reset();
    out_.reset();
  } else if (!status_) {
    // Right after its start it may not lead a group of its own yet.
    if (::kill(-pid_, SIGKILL) != 0) ::kill(pid_, SIGKILL);
  }
}

}  // namespace rookery::guest
