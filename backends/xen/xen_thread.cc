#include "backends/xen/xen_thread.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/signals.h"

namespace rookery::backends {
namespace {

constexpr std::size_t kComplaintKept = 1024;
constexpr Duration kPatience = std::chrono::seconds(30);

// Hotplug scripts and device models are to get the signals that they are sent, whatever this thread blocks.
pid_t fork_with_signals(void*) {
  const pid_t child = ::fork();
  if (child == 0) restore_signals();
  return child;
}
// libxl waits for its own children only; ours are others' (base/process.h).
const libxl_childproc_hooks kChildren{libxl_sigchld_owner_libxl_always_selective_reap, fork_with_signals,
                                      nullptr};

void end_operation(libxl_ctx*, int code, void* operation) {
  const std::unique_ptr<std::function<void(int)>> then(static_cast<std::function<void(int)>*>(operation));
  (*then)(code);
}

}  // namespace

void XenContext::operate(const std::function<int(const libxl_asyncop_how*)>& begin,
                         std::function<void(int)> then) {
  ++operations_;
  auto operation = std::make_unique<std::function<void(int)>>([this, then = std::move(then)](int code) {
    --operations_;
    then(code);
  });
  libxl_asyncop_how how{};
  how.callback = end_operation;
  how.u.for_callback = operation.get();
  const int code = begin(&how);
  if (code != 0) return (*operation)(code);  // it will not be called back
  (void)operation.release();                 // end_operation() has it, or had it already
}

std::optional<std::string> XenContext::read(const std::string& path) {
  unsigned length = 0;
  const std::unique_ptr<char, void (*)(void*)> value(
      static_cast<char*>(xl_.xs_read(store_, 0, path.c_str(), &length)), std::free);
  if (!value) return std::nullopt;
  return std::string(value.get(), length);
}

Status XenContext::open() {
  logger_.to = &complaint_;
  logger_.vmessage = [](xentoollog_logger* logger, xentoollog_level level, int error, const char*,
                        const char* format, va_list arguments) {
    if (level < XTL_ERROR) return;
    std::array<char, 512> line;
    const int length = std::vsnprintf(line.data(), line.size(), format, arguments);
    if (length <= 0) return;
    std::string& to = *static_cast<Logger*>(logger)->to;
    to += (to.empty() ? "" : "; ") + std::string(line.data());
    if (error > 0) to += std::string(": ") + std::strerror(error);
    // What went wrong first says most.
    if (to.size() > kComplaintKept) to.resize(kComplaintKept);
  };
  store_ = xl_.xs_open(0);
  if (store_ == nullptr) return fail_errno("xenstore does not answer");
  if (xl_.libxl_ctx_alloc(&context_, LIBXL_VERSION, 0, &logger_) != 0)
    return fail("libxl cannot speak to Xen: " + take_complaint());
  xl_.libxl_childproc_setmode(context_, &kChildren, nullptr);
  hooks_.event_occurs_mask = LIBXL_EVENTMASK_ALL;
  hooks_.event_occurs = [](void* self, libxl_event* event) {
    static_cast<XenContext*>(self)->take_event(event);
  };
  hooks_.disaster = [](void* self, libxl_event_type, const char* message, int) {
    static_cast<XenContext*>(self)->complaint_ += message;
  };
  xl_.libxl_event_register_callbacks(context_, &hooks_, this);
  return {};
}

void XenContext::take_event(libxl_event* event) {
  const auto found = ended.find(event->domid);
  if (found != ended.end()) {
    const Ended tell = found->second;
    if (event->type == LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN) tell(event->u.domain_shutdown.shutdown_reason);
    if (event->type == LIBXL_EVENT_TYPE_DOMAIN_DEATH) tell(-1);
  }
  xl_.libxl_event_free(context_, event);
}

// What the thread and its owner share; the thread's copy of the handle keeps it.
struct XenThreadState {
  explicit XenThreadState(const Libxl& libxl)
      : wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), context(libxl) {
    if (!wake) bug("no eventfd");
  }
  void work();
  void step();
  bool do_jobs();

  UniqueFd wake;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<XenThread::Job> jobs;
  bool stop = false, done = false;
  XenContext context;  // the thread's alone
  std::string why_not;
  std::vector<pollfd> polled;
};

// False once it is to stop and nothing is left to be done.
bool XenThreadState::do_jobs() {
  for (;;) {
    XenThread::Job job;
    {
      const std::lock_guard lock(mutex);
      if (jobs.empty()) return !stop || !context.idle();
      job = std::move(jobs.front());
      jobs.pop_front();
    }
    job(context.get() != nullptr ? &context : nullptr, why_not);
  }
}

// Waits for something to happen, to us or to what libxl watches.
void XenThreadState::step() {
  timeval now{};
  ::gettimeofday(&now, nullptr);
  int timeout = -1, count = static_cast<int>(polled.size()) - 1;
  if (context.get() == nullptr) {
    count = 0;
  } else {
    while (context.xl().libxl_osevent_beforepoll(context.get(), &count, polled.data() + 1, &timeout, now) ==
           ERROR_BUFFERFULL)
      polled.resize(static_cast<std::size_t>(count) + 1);
  }
  polled[0] = {wake.get(), POLLIN, 0};
  ::poll(polled.data(), static_cast<nfds_t>(count) + 1, timeout);
  std::uint64_t times;
  (void)!::read(wake.get(), &times, sizeof times);
  if (context.get() == nullptr) return;
  ::gettimeofday(&now, nullptr);
  context.xl().libxl_osevent_afterpoll(context.get(), count, polled.data() + 1, now);
}

void XenThreadState::work() {
  if (const auto opened = context.open(); !opened) why_not = opened.error().message;
  polled.resize(16);
  while (do_jobs()) step();
  const std::lock_guard lock(mutex);
  done = true;
  changed.notify_all();
}

XenThread::XenThread(EventLoop& loop, const Libxl& libxl)
    : inbox_(std::make_shared<Inbox>(loop)), state_(std::make_shared<XenThreadState>(libxl)) {
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([state = state_] { state->work(); }).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

XenThread::~XenThread() {
  inbox_->close();
  std::unique_lock lock(state_->mutex);
  state_->stop = true;
  const std::uint64_t one = 1;
  (void)!::write(state_->wake.get(), &one, sizeof one);
  state_->changed.wait_for(lock, kPatience, [this] { return state_->done; });
}

void XenThread::run(Job job) {
  const std::lock_guard lock(state_->mutex);
  state_->jobs.push_back(std::move(job));
  const std::uint64_t one = 1;
  (void)!::write(state_->wake.get(), &one, sizeof one);
}

bool XenThread::offer(Job job) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->jobs.size() >= kOffersMost) return false;
  }
  run(std::move(job));
  return true;
}

}  // namespace rookery::backends
