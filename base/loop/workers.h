// Threads for libraries whose calls block (libvirt, libxl), and the way back from any thread to the one event
// loop. What runs in a thread must not touch what belongs to the loop: it posts what it found.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/loop/event_loop.h"
#include "base/unique_fd.h"

namespace rookery {

// Actions from other threads, run by the loop in the order in which they came. Shared by those who post,
// which may outlive the loop: what is posted after close() is dropped.
class Inbox {
 public:
  // So many wait for the loop, and no more: another thread then waits until it has taken some. What the
  // loop's own thread posts is always taken.
  static constexpr std::size_t kLimit = 1 << 16;

  explicit Inbox(EventLoop& loop);  // in the loop's thread
  void post(Action action);         // from any thread
  void close();                     // from the loop's; it takes nothing more, and what it has is dropped

 private:
  void take();

  UniqueFd wake_;
  Watch watch_;
  const std::thread::id loop_thread_ = std::this_thread::get_id();
  std::mutex mutex_;
  std::condition_variable room_;
  std::deque<Action> actions_;
  bool closed_ = false;
};

// A fixed number of threads that run jobs in the order in which they were given, some at the same time. They
// have all signals blocked. Owned by whoever makes it; may be called from any thread.
class Workers {
 public:
  using Job = std::function<void()>;
  static constexpr std::size_t kQueueLimit = 1 << 16;

  explicit Workers(unsigned threads);
  // Drops what has not begun and waits for what has; a job that does not end within `kPatience` is left to
  // itself, so it must own what it uses.
  ~Workers();
  static constexpr Duration kPatience = std::chrono::seconds(30);

  bool run(Job job);  // false if the queue is full

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Job> jobs;
    std::size_t busy = 0;
    bool stop = false;
  };
  static void work(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

// Jobs of which one runs at a time, in order: those that concern one machine. Shared by its owner and by the
// threads that run it.
class Strand : public std::enable_shared_from_this<Strand> {
 public:
  static constexpr std::size_t kQueueLimit = 256;

  explicit Strand(std::weak_ptr<Workers> workers) : workers_(std::move(workers)) {}
  bool run(Workers::Job job);  // from the loop's thread; false if a queue is full or the workers are gone
  // Blocks until all of it is done. False if that takes longer than `limit`.
  bool wait(Duration limit);

 private:
  void work();

  std::weak_ptr<Workers> workers_;  // weak: a worker must not be the one to end them
  std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<Workers::Job> jobs_;
  bool running_ = false;
};

}  // namespace rookery
