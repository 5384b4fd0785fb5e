#include "base/loop/workers.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "base/result.h"

namespace rookery {

Inbox::Inbox(EventLoop& loop) : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) bug("no eventfd");
  watch_ = loop.watch(wake_.get(), EPOLLIN, [this](std::uint32_t) { take(); });
}

void Inbox::post(Action action) {
  std::unique_lock lock(mutex_);
  if (std::this_thread::get_id() != loop_thread_)
    room_.wait(lock, [this] { return closed_ || actions_.size() < kLimit; });
  if (closed_) return;
  actions_.push_back(std::move(action));
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void Inbox::close() {
  watch_.stop();
  std::deque<Action> dropped;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(actions_);
  room_.notify_all();
}

// An action may close the inbox, or drop the last handle of who owns it: nothing of ours is held meanwhile.
void Inbox::take() {
  std::uint64_t count;
  (void)!::read(wake_.get(), &count, sizeof count);
  std::size_t left;
  {
    const std::lock_guard lock(mutex_);
    left = actions_.size();
  }
  for (; left > 0; --left) {
    Action next;
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || actions_.empty()) return;
      next = std::move(actions_.front());
      actions_.pop_front();
      room_.notify_one();
    }
    next();
  }
}

Workers::Workers(unsigned threads) {
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  for (unsigned i = 0; i < threads; ++i) std::thread([shared = shared_] { work(shared); }).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Workers::~Workers() {
  std::deque<Job> dropped;
  std::unique_lock lock(shared_->mutex);
  shared_->stop = true;
  dropped.swap(shared_->jobs);
  shared_->changed.notify_all();
  shared_->changed.wait_for(lock, kPatience, [this] { return shared_->busy == 0; });
}

bool Workers::run(Job job) {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->jobs.size() >= kQueueLimit) return false;
  shared_->jobs.push_back(std::move(job));
  shared_->changed.notify_one();
  return true;
}

void Workers::work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->changed.wait(lock, [&] { return shared->stop || !shared->jobs.empty(); });
    if (shared->stop) return;
    Job job = std::move(shared->jobs.front());
    shared->jobs.pop_front();
    ++shared->busy;
    lock.unlock();
    job();
    job = nullptr;  // what it owned goes here, not under the lock
    lock.lock();
    --shared->busy;
    shared->changed.notify_all();
  }
}

bool Strand::run(Workers::Job job) {
  const std::lock_guard lock(mutex_);
  if (jobs_.size() >= kQueueLimit) return false;
  jobs_.push_back(std::move(job));
  if (running_) return true;
  const auto workers = workers_.lock();
  running_ = workers && workers->run([self = shared_from_this()] { self->work(); });
  if (!running_) jobs_.pop_back();
  return running_;
}

void Strand::work() {
  std::unique_lock lock(mutex_);
  while (!jobs_.empty()) {
    Workers::Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
  running_ = false;
  idle_.notify_all();
}

bool Strand::wait(Duration limit) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, limit, [this] { return !running_; });
}

}  // namespace rookery
