#include "base/sink.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

namespace rookery {
namespace {

constexpr std::size_t kAtOnce = std::size_t{256} << 10;       // bytes that are worth a write
constexpr Duration kGather = std::chrono::milliseconds(100);  // that fewer wait for company
constexpr Duration kBetweenLooks = std::chrono::milliseconds(100);
constexpr Duration kBetweenVisits =
    std::chrono::milliseconds(500);  // with a reader who has all that there is

struct Batch {
  ByteBuffer bytes;
  std::vector<std::size_t> ends;  // of the pieces in it
};

UniqueFd event() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) bug("no eventfd");
  return fd;
}

void signal(const UniqueFd& event) {
  const std::uint64_t one = 1;
  (void)!::write(event.get(), &one, sizeof one);
}

// A signal that asks to end and is blocked here, as those who watch for it on the loop have it.
bool is_asked_to_end() {
  sigset_t pending;
  sigemptyset(&pending);
  ::sigpending(&pending);
  return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 ||
         sigismember(&pending, SIGHUP) == 1;
}

}  // namespace

struct Sink::Shared {
  std::string name;
  std::size_t most = 0;
  std::filesystem::path fifo;  // that is yet to be opened; empty: none
  UniqueFd fd;                 // the thread's
  bool is_file = false;        // whose writes do not wait for a reader
  UniqueFd news = event(), wake = event();
  UniqueFd unblocks;  // a FIFO's other end

  std::mutex mutex;
  std::condition_variable changed;
  Batch queue;                // what the thread has not taken yet
  std::size_t in_flight = 0;  // bytes that it has taken and not written
  bool crowded = false;       // somebody waits for room: what is there is not kept for company
  bool opening = false;       // it waits for somebody to read the FIFO
  bool closing = false, abandoned = false, ended = false;
  State state = State::open;
  Error error;
  std::uint64_t written = 0, pieces_written = 0;

  void fail(State as, int errno_value) {
    if (state != State::open) return;
    state = as;
    error = as == State::reader_left ? Error{ErrorKind::infrastructure, "nobody reads " + name + " any more"}
                                     : fail_errno("cannot write " + name, errno_value).value();
    told();
  }
  void told() {
    queue = {};
    in_flight = 0;
    signal(news);
    changed.notify_all();
  }
  // With the mutex held: says that it was given up, and frees the thread from what it waits for.
  void give_up() {
    abandoned = closing = true;
    if (state == State::open) {
      state = State::failed;
      error = {ErrorKind::infrastructure,
               opening ? "nobody opened " + name + " to read it" : name + " was not read to its end"};
      told();
    }
    signal(wake);
    changed.notify_all();
    // Its open(2) waits for a reader: that is us, until it is through.
    if (opening && !unblocks) unblocks.reset(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }

  // Waits until `ready`. False if nothing was written for `patience`, or somebody asks us to end.
  template <typename Ready>
  bool await(std::unique_lock<std::mutex>& lock, Duration patience, Ready ready) {
    std::uint64_t before = written;
    for (Duration waited{0}; !ready();) {
      if (waited >= patience || is_asked_to_end()) return false;
      const Duration step = std::min(kBetweenLooks, patience - waited);
      changed.wait_for(lock, step, ready);
      waited = std::exchange(before, written) == written ? waited + step : Duration{0};
    }
    return true;
  }

  bool is_written() const { return queue.bytes.empty() && in_flight == 0; }
  bool open_fifo();
  bool is_left() const;
  bool write(const Batch& batch);
  ssize_t write_some(ByteView bytes) const;
};

bool Sink::Shared::open_fifo() {
  if (fifo.empty()) return true;
  UniqueFd opened(::open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
  const int problem = errno;
  const std::lock_guard lock(mutex);
  opening = false;
  unblocks.reset();
  if (!opened) fail(State::failed, problem);
  if (opened && ::flock(opened.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    fail(State::failed, EBUSY);
  fd = std::move(opened);
  changed.notify_all();
  return state == State::open;
}

// Whether the other end of a pipe, socket or terminal is gone, of which otherwise only a write would tell.
bool Sink::Shared::is_left() const {
  pollfd end{fd.get(), 0, 0};
  return !is_file && ::poll(&end, 1, 0) > 0 && (end.revents & (POLLERR | POLLHUP)) != 0;
}

// As much as can be written without a wait that nobody could end. Of a pipe with room at least PIPE_BUF bytes
// are taken at once (pipe(7)).
ssize_t Sink::Shared::write_some(ByteView bytes) const {
  if (is_file) return ::write(fd.get(), bytes.data(), std::min(bytes.size(), kAtOnce));
  pollfd waits[2] = {{fd.get(), POLLOUT, 0}, {wake.get(), POLLIN, 0}};
  if (::poll(waits, 2, -1) < 0) return -1;
  if (waits[1].revents != 0) {
    errno = ECANCELED;
    return -1;
  }
  return ::write(fd.get(), bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
}

bool Sink::Shared::write(const Batch& batch) {
  for (std::size_t at = 0; at < batch.bytes.size();) {
    const ssize_t wrote = write_some(ByteView(batch.bytes).subspan(at));
    if (wrote < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    const int problem = wrote < 0 ? errno : ENOSPC;
    const std::lock_guard lock(mutex);
    if (wrote > 0) {
      const auto ended_by = [&](std::size_t end) {
        return std::upper_bound(batch.ends.begin(), batch.ends.end(), end) - batch.ends.begin();
      };
      const std::size_t to = at + static_cast<std::size_t>(wrote);
      pieces_written += static_cast<std::uint64_t>(ended_by(to) - ended_by(at));
      written += static_cast<std::uint64_t>(wrote);
      if (in_flight > 0) in_flight -= to - at;
      at = to;
      changed.notify_all();
    } else {
      fail(problem == EPIPE ? State::reader_left : State::failed, problem);
    }
    if (state != State::open || abandoned) return false;
  }
  return true;
}

void Sink::work(const std::shared_ptr<Shared>& shared) {
  Shared& s = *shared;
  Batch batch;
  bool good = s.open_fifo();
  std::unique_lock lock(s.mutex);
  while (good) {
    while (!s.changed.wait_for(lock, kBetweenVisits, [&] { return s.closing || !s.queue.bytes.empty(); })) {
      if (s.is_left()) s.fail(State::reader_left, EPIPE);
    }
    s.changed.wait_for(lock, kGather,
                       [&] { return s.closing || s.crowded || s.queue.bytes.size() >= kAtOnce; });
    s.crowded = false;
    if (s.queue.bytes.empty()) break;  // closing
    batch.bytes.clear();
    batch.ends.clear();
    std::swap(batch, s.queue);
    s.in_flight = batch.bytes.size();
    lock.unlock();
    good = s.write(batch);
    lock.lock();
  }
  // A file system may say only now that there was no room.
  const int fd = s.fd.release();
  lock.unlock();
  const int problem = fd >= 0 && ::close(fd) != 0 ? errno : 0;
  lock.lock();
  if (problem != 0) s.fail(State::failed, problem);
  s.ended = true;
  if (s.state == State::open) {
    s.state = State::done;
    s.told();
  }
  s.changed.notify_all();
}

Sink::Sink(std::shared_ptr<Shared> shared, WhenFull when_full, Duration patience)
    : shared_(std::move(shared)), when_full_(when_full), patience_(patience) {}

Result<std::unique_ptr<Sink>> Sink::open(const std::filesystem::path& path, Rules rules) {
  auto shared = std::make_shared<Shared>();
  shared->name = rules.name;
  // Not O_TRUNC: another may be writing it.
  shared->fd.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0644));
  struct stat there {};
  if (!shared->fd && errno == ENXIO && ::stat(path.c_str(), &there) == 0 && S_ISFIFO(there.st_mode)) {
    shared->fifo = path;
    shared->opening = true;
  } else if (!shared->fd) {
    return fail_errno("cannot write " + rules.name);
  }
  return start(std::move(shared), true, rules);
}

Result<std::unique_ptr<Sink>> Sink::of(UniqueFd fd, bool replace, Rules rules) {
  auto shared = std::make_shared<Shared>();
  shared->name = rules.name;
  shared->fd = std::move(fd);
  return start(std::move(shared), replace, rules);
}

Result<std::unique_ptr<Sink>> Sink::start(std::shared_ptr<Shared> shared, bool replace, const Rules& rules) {
  struct stat it {};
  const int looked = shared->fd ? ::fstat(shared->fd.get(), &it) : ::stat(shared->fifo.c_str(), &it);
  if (looked != 0) return fail_errno("cannot write " + rules.name);
  const bool is_regular = S_ISREG(it.st_mode);
  shared->is_file = is_regular || S_ISBLK(it.st_mode);
  shared->most = rules.most.count;
  std::unique_ptr<Sink> sink(new Sink(shared, rules.when_full, rules.patience));
  if (is_regular || S_ISFIFO(it.st_mode) || S_ISSOCK(it.st_mode)) sink->identity_ = {it.st_dev, it.st_ino};
  if (shared->fd && (is_regular || S_ISFIFO(it.st_mode)) &&
      ::flock(shared->fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return fail(ErrorKind::usage, rules.name + " is being written already, by another command");
  if (is_regular && replace && ::ftruncate(shared->fd.get(), 0) != 0)
    return fail_errno("cannot replace " + rules.name);
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // so EPIPE and EFBIG are errors, and no signals
  std::optional<int> problem;
  try {
    std::thread([shared = std::move(shared)] { work(shared); }).detach();
  } catch (const std::system_error& error) {  // a limit of processes
    problem = error.code().value();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (problem) return fail_errno("no thread to write " + rules.name, *problem);
  return sink;
}

Sink::~Sink() {
  abandon();
}

bool Sink::put(ByteView bytes, As as) {
  Shared& s = *shared_;
  std::unique_lock lock(s.mutex);
  if (s.state != State::open || s.closing) return false;
  const auto room = [&] {
    return as == As::always || s.queue.bytes.size() + s.in_flight + bytes.size() <= s.most;
  };
  if (!room()) {
    if (when_full_ == WhenFull::refuse) return false;
    s.crowded = true;
    s.changed.notify_all();
    if (!s.await(lock, patience_, [&] { return s.state != State::open || room(); })) s.give_up();
    if (s.state != State::open) return false;
  }
  const std::size_t queued = s.queue.bytes.size();
  s.queue.bytes.insert(s.queue.bytes.end(), bytes.begin(), bytes.end());
  if (as == As::piece) s.queue.ends.push_back(s.queue.bytes.size());
  if (queued == 0 || (queued < kAtOnce && s.queue.bytes.size() >= kAtOnce)) s.changed.notify_all();
  return true;
}

Sink::State Sink::state() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->state;
}

Status Sink::status() const {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->state == State::open || shared_->state == State::done) return {};
  return tl::unexpected<Error>(shared_->error);
}

std::uint64_t Sink::pieces_written() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->pieces_written;
}

std::uint64_t Sink::bytes_written() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->written;
}

int Sink::news() const {
  return shared_->news.get();
}

Status Sink::flush(Duration patience) {
  Shared& s = *shared_;
  std::unique_lock lock(s.mutex);
  const bool done = s.await(lock, patience, [&] { return s.state != State::open || s.is_written(); });
  if (s.state == State::failed || s.state == State::reader_left) return tl::unexpected<Error>(s.error);
  if (!done) return fail(ErrorKind::timeout, s.name + " is not read");
  return {};
}

void Sink::close() {
  const std::lock_guard lock(shared_->mutex);
  shared_->closing = true;
  shared_->changed.notify_all();
}

Status Sink::close(Duration patience) {
  close();
  Shared& s = *shared_;
  std::unique_lock lock(s.mutex);
  if (!s.await(lock, patience, [&] { return s.state != State::open; })) s.give_up();
  if (s.state == State::done) return {};
  return tl::unexpected<Error>(s.error);
}

void Sink::abandon() {
  const std::lock_guard lock(shared_->mutex);
  if (!shared_->ended) shared_->give_up();
}

}  // namespace rookery
