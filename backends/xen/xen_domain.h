// One domain of ours, from its making to its end; lives in the thread of libxl and is called nowhere else.
// Held by those who have something to tell it, and by what it has begun.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/xen/xen_thread.h"
#include "base/unique_fd.h"

namespace rookery::backends {

struct XenDomainPlan {
  std::string name;    // of the domain
  std::string config;  // xen_domain_config()
  std::string owner;   // what the mark of ours says
};

// A domain that was made, and does not run yet.
struct XenDomainUp {
  std::uint32_t id = 0;
  std::shared_ptr<UniqueFd> console;
};

class XenDomain : public std::enable_shared_from_this<XenDomain> {
 public:
  using Made = std::function<void(Result<XenDomainUp>)>;
  using Done = std::function<void(Status)>;

  explicit XenDomain(XenDomainPlan plan) : plan_(std::move(plan)) {}

  // Anew, or as a snapshot has it. A domain of the same name that a killed run of ours left is destroyed
  // first; that of anybody else is not touched, and the making fails.
  void make(XenContext& context, std::shared_ptr<UniqueFd> snapshot, Made made, XenContext::Ended ended);
  // One that was made, or saved, or could not be saved.
  void let_run(XenContext& context, Done done);
  // Writes all of it to a file and leaves it standing still. A guest with Xen's drivers has to do its part:
  // one that is stopped runs for as long as that takes.
  void save(XenContext& context, std::shared_ptr<UniqueFd> file, const Done& done);
  void stop(XenContext& context, bool stopped, Done done);  // pauses it, or lets it go on
  void press(XenContext& context, Done done);
  // Also of one whose making has not come to its end. Nothing of it is left when `done` is called.
  void destroy(XenContext& context, Done done);

 private:
  void make_now(XenContext& context);
  void was_made(XenContext& context, int code);
  void destroy_now(XenContext& context);
  void was_saved(XenContext& context, bool stopped, Done done);
  int watch_end(XenContext& context);
  void unwatch_end(XenContext& context);
  void tell(XenContext& context, bool stop, std::function<void(int)> then);
  void clear(XenContext& context);
  Error error(XenContext& context, std::string_view doing, int code);

  XenDomainPlan plan_;
  std::shared_ptr<UniqueFd> snapshot_;
  libxl_domain_config config_{};
  std::uint32_t id_ = 0;
  bool configured_ = false, making_ = false, there_ = false, runs_ = false, destroying_ = false;
  bool stopped_ = false;  // is to be
  bool saving_ = false;   // until it is let run again
  Made made_;
  XenContext::Ended ended_;
  std::vector<Done> destroyed_;  // to be told of its end, which may have to wait for its making
  libxl_evgen_domain_death* death_ = nullptr;
};

// Ends the domains of ours whose machine's folder is gone: what killed runs left. Says which.
std::vector<std::string> destroy_orphans(XenContext& context);

}  // namespace rookery::backends
