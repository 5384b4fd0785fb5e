#include "base/patient_writer.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

namespace rookery {

struct PatientWriter::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> texts;
  std::size_t waiting = 0;  // bytes of all texts, and of the one that is being written
  std::size_t most = 0;
  std::size_t dropped = 0;  // since the last text that was taken
  int fd = -1;
  int problem = 0;  // errno of the first write that failed
  bool stop = false;
  bool has_thread = true;
};

namespace {

// 0, or what went wrong. Somebody may have told the descriptor not to block: it is shared with others.
int write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd ready{fd, POLLOUT, 0};
      (void)::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

PatientWriter::PatientWriter(int fd, Bytes most) : shared_(std::make_shared<Shared>()) {
  shared_->fd = fd;
  shared_->most = most.count;
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([shared = shared_] { work(shared); }).detach();
  } catch (const std::system_error&) {  // no thread can be had (ulimit -u): who writes waits, then
    shared_->has_thread = false;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

PatientWriter::~PatientWriter() {
  drain(kPatience);
  const std::lock_guard lock(shared_->mutex);
  shared_->stop = true;
  shared_->changed.notify_all();
}

void PatientWriter::write(std::string_view text) {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->waiting + text.size() > shared_->most) {
    ++shared_->dropped;
    return;
  }
  std::string taken;
  if (shared_->dropped > 0)
    taken = "(" + std::to_string(shared_->dropped) + " messages are missing here: nobody read them)\n";
  shared_->dropped = 0;
  taken += text;
  if (!shared_->has_thread) {
    const int problem = write_whole(shared_->fd, taken);
    if (shared_->problem == 0) shared_->problem = problem;
    return;
  }
  shared_->waiting += taken.size();
  shared_->texts.push_back(std::move(taken));
  shared_->changed.notify_all();
}

bool PatientWriter::drain(Duration limit) {
  std::unique_lock lock(shared_->mutex);
  return shared_->changed.wait_for(lock, limit, [this] { return shared_->waiting == 0; });
}

Status PatientWriter::problem() const {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->problem == 0) return {};
  return fail(std::strerror(shared_->problem));
}

void PatientWriter::work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->changed.wait(lock, [&] { return shared->stop || !shared->texts.empty(); });
    if (shared->stop) return;
    const std::string text = std::move(shared->texts.front());
    shared->texts.pop_front();
    lock.unlock();
    const int problem = write_whole(shared->fd, text);
    lock.lock();
    if (shared->problem == 0) shared->problem = problem;
    shared->waiting -= text.size();
    shared->changed.notify_all();
  }
}

}  // namespace rookery
