#include "backends/xen/xen_domain.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "backends/xen/xen_config.h"

namespace rookery::backends {
namespace {

std::string owner_of(XenContext& context, std::uint32_t id) {
  return context.read(fmt::format("/local/domain/{}/{}", id, kXenOwnerKey)).value_or("");
}

// Behind libxl's stream: that it was written to its end. libxl 4.17 itself crashes where a stream breaks off.
constexpr std::string_view kSnapshotEnd = "\nthis snapshot of Rookery's is whole\n";

bool is_whole(const UniqueFd& snapshot) {
  std::array<char, kSnapshotEnd.size()> end;
  const off_t size = ::lseek(snapshot.get(), 0, SEEK_END);
  return ::lseek(snapshot.get(), 0, SEEK_SET) == 0 && size > static_cast<off_t>(end.size()) &&
         ::pread(snapshot.get(), end.data(), end.size(), size - static_cast<off_t>(end.size())) ==
             static_cast<ssize_t>(end.size()) &&
         std::string_view(end.data(), end.size()) == kSnapshotEnd;
}

}  // namespace

Error XenDomain::error(XenContext& context, std::string_view doing, int code) {
  const std::string complaint = context.take_complaint();
  return Error{ErrorKind::infrastructure,
               fmt::format("{} the domain {}: {}", doing, plan_.name,
                           complaint.empty() ? fmt::format("libxl's error {}", code) : complaint)};
}

void XenDomain::make(XenContext& context, std::shared_ptr<UniqueFd> snapshot, Made made,
                     XenContext::Ended ended) {
  snapshot_ = std::move(snapshot);
  made_ = std::move(made);
  ended_ = std::move(ended);
  (void)context.take_complaint();
  if (snapshot_ && !is_whole(*snapshot_))
    return made_(fail(ErrorKind::expectation, "this is no snapshot of a Xen domain, or not all of one"));
  std::uint32_t other = 0;
  if (context.xl().libxl_name_to_domid(context.get(), plan_.name.c_str(), &other) != 0)
    return make_now(context);
  if (owner_of(context, other) != plan_.owner) {
    return made_(fail(ErrorKind::expectation,
                      fmt::format("this host has a domain {} (number {}) that is not Rookery's; it was left "
                                  "alone: rename it, or the machine",
                                  plan_.name, other)));
  }
  making_ = true;
  context.operate(
      [&](const libxl_asyncop_how* how) {
        return context.xl().libxl_domain_destroy(context.get(), other, how);
      },
      [self = shared_from_this(), &context](int) { self->make_now(context); });
}

void XenDomain::make_now(XenContext& context) {
  making_ = true;
  context.xl().libxl_domain_config_init(&config_);
  configured_ = true;
  if (const int code =
          context.xl().libxl_domain_config_from_json(context.get(), &config_, plan_.config.c_str());
      code != 0)
    return was_made(context, code);
  context.operate(
      [&](const libxl_asyncop_how* how) {
        if (!snapshot_)
          return context.xl().libxl_domain_create_new(context.get(), &config_, &id_, how, nullptr);
        libxl_domain_restore_params params;
        context.xl().libxl_domain_restore_params_init(&params);
        params.stream_version = 2;  // what libxl_domain_suspend() writes (LIBXL_HAVE_SRM_V2)
        return context.xl().libxl_domain_create_restore(context.get(), &config_, &id_, snapshot_->get(), -1,
                                                        &params, how, nullptr);
      },
      [self = shared_from_this(), &context](int code) { self->was_made(context, code); });
}

// What becomes of it when libxl is done: handed over, or, if nobody wants it any more, destroyed.
void XenDomain::was_made(XenContext& context, int code) {
  making_ = false;
  there_ = code == 0;
  const std::string_view doing = std::exchange(snapshot_, nullptr) ? "restoring" : "making";
  if (!destroyed_.empty()) return destroy_now(context);
  if (code != 0) {
    clear(context);
    return made_(tl::unexpected<Error>(error(context, doing, code)));
  }
  char* path = nullptr;
  int failed = watch_end(context);
  if (failed == 0) failed = context.xl().libxl_primary_console_get_tty(context.get(), id_, &path);
  const std::unique_ptr<char, void (*)(void*)> terminal(path, std::free);
  if (failed == 0) {
    auto console =
        std::make_shared<UniqueFd>(::open(terminal.get(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (*console) return made_(XenDomainUp{id_, std::move(console)});
    failed = ERROR_FAIL;
  }
  Error why = error(context, "the console of", failed);
  destroy(context,
          [self = shared_from_this(), why](const Status&) { self->made_(tl::unexpected<Error>(why)); });
}

int XenDomain::watch_end(XenContext& context) {
  context.ended[id_] = ended_;
  return context.xl().libxl_evenable_domain_death(context.get(), id_, 0, &death_);
}

void XenDomain::unwatch_end(XenContext& context) {
  context.ended.erase(id_);
  if (death_ != nullptr)
    context.xl().libxl_evdisable_domain_death(context.get(), std::exchange(death_, nullptr));
}

void XenDomain::tell(XenContext& context, bool stop, std::function<void(int)> then) {
  context.operate(
      [&](const libxl_asyncop_how* how) {
        return stop ? context.xl().libxl_domain_pause(context.get(), id_, how)
                    : context.xl().libxl_domain_unpause(context.get(), id_, how);
      },
      std::move(then));
}

void XenDomain::let_run(XenContext& context, Done done) {
  if (std::exchange(saving_, false)) return was_saved(context, stopped_, std::move(done));
  runs_ = true;
  if (stopped_) return done({});
  stop(context, false, std::move(done));
}

void XenDomain::stop(XenContext& context, bool stopped, Done done) {
  stopped_ = stopped;
  if (!there_ || !runs_ || saving_) return done({});
  tell(context, stopped, [self = shared_from_this(), &context, done = std::move(done)](int code) {
    done(code == 0 ? Status() : tl::unexpected<Error>(self->error(context, "pausing", code)));
  });
}

void XenDomain::save(XenContext& context, std::shared_ptr<UniqueFd> file, const Done& done) {
  if (!there_ || !runs_ || saving_) return done(fail(ErrorKind::expectation, "it does not run"));
  saving_ = true;
  // Its suspension would be told of as an end, and its real end then not any more.
  unwatch_end(context);
  const auto suspend = [self = shared_from_this(), &context, file, done](int) {
    context.operate(
        [&](const libxl_asyncop_how* how) {
          return context.xl().libxl_domain_suspend(context.get(), self->id_, file->get(), 0, how);
        },
        [self, &context, file, done](int code) {
          if (code != 0) return done(tl::unexpected<Error>(self->error(context, "saving", code)));
          if (::write(file->get(), kSnapshotEnd.data(), kSnapshotEnd.size()) !=
              static_cast<ssize_t>(kSnapshotEnd.size()))
            return done(fail_errno("writing a snapshot"));
          done({});
        });
  };
  if (!stopped_) return suspend(0);
  tell(context, false, suspend);
}

// It goes on from its suspension, or stands still at once. What it came to meanwhile is told now.
void XenDomain::was_saved(XenContext& context, bool stopped, Done done) {
  if (!there_) return done({});
  if (stopped) {
    return tell(context, true, [self = shared_from_this(), &context, done = std::move(done)](int) {
      self->was_saved(context, false, done);
    });
  }
  const auto watch = [self = shared_from_this(), &context, done = std::move(done)](int code) {
    if (!self->there_) return done({});
    (void)self->watch_end(context);
    libxl_dominfo info{};
    if (context.xl().libxl_domain_info(context.get(), &info, self->id_) == 0) {
      if (info.shutdown) self->ended_(static_cast<int>(info.shutdown_reason));
      context.xl().libxl_dominfo_dispose(&info);
    }
    // One that could not be saved need not be suspended: there is nothing to go on from.
    done(code == 0 ? Status() : tl::unexpected<Error>(self->error(context, "resuming", code)));
  };
  context.operate(
      [&](const libxl_asyncop_how* how) {
        return context.xl().libxl_domain_resume(context.get(), id_, 1, how);
      },
      watch);
}

// A paravirtual guest is asked through xenstore, and one without such drivers by its ACPI button.
void XenDomain::press(XenContext& context, Done done) {
  if (!there_) return done({});
  context.operate(
      [&](const libxl_asyncop_how* how) {
        return context.xl().libxl_domain_shutdown(context.get(), id_, how);
      },
      [self = shared_from_this(), &context, done = std::move(done)](int code) {
        if (code == 0) return done({});
        context.operate(
            [&](const libxl_asyncop_how* how) {
              return context.xl().libxl_send_trigger(context.get(), self->id_, LIBXL_TRIGGER_POWER, 0, how);
            },
            [self, &context, done](int second) {
              done(second == 0
                       ? Status()
                       : tl::unexpected<Error>(self->error(context, "pressing the button of", second)));
            });
      });
}

void XenDomain::destroy(XenContext& context, Done done) {
  if (!there_ && !making_ && !destroying_) {
    clear(context);
    return done({});
  }
  destroyed_.push_back(std::move(done));
  if (!making_ && !destroying_) destroy_now(context);
}

void XenDomain::destroy_now(XenContext& context) {
  const auto end = [self = shared_from_this(), &context](int code) {
    self->clear(context);
    self->destroying_ = false;
    const Status how = code == 0 ? Status() : tl::unexpected<Error>(self->error(context, "destroying", code));
    for (const Done& done : std::exchange(self->destroyed_, {})) done(how);
  };
  if (!std::exchange(there_, false)) return end(0);
  destroying_ = true;
  unwatch_end(context);
  context.operate(
      [&](const libxl_asyncop_how* how) {
        return context.xl().libxl_domain_destroy(context.get(), id_, how);
      },
      end);
}

void XenDomain::clear(XenContext& context) {
  if (std::exchange(configured_, false)) context.xl().libxl_domain_config_dispose(&config_);
}

std::vector<std::string> destroy_orphans(XenContext& context) {
  std::vector<std::string> ended;
  int count = 0;
  libxl_dominfo* const domains = context.xl().libxl_list_domain(context.get(), &count);
  for (int i = 0; domains != nullptr && i < count; ++i) {
    const std::uint32_t id = domains[i].domid;
    const std::unique_ptr<char, void (*)(void*)> name(context.xl().libxl_domid_to_name(context.get(), id),
                                                      std::free);
    const std::string owner = owner_of(context, id);
    // Both the name and the mark, which a guest cannot write.
    if (!name || !std::string_view(name.get()).starts_with(kXenNamePrefix) || owner.empty()) continue;
    std::error_code error;
    if (std::filesystem::exists(owner, error) || error) continue;
    if (context.xl().libxl_domain_destroy(context.get(), id, nullptr) == 0) ended.emplace_back(name.get());
  }
  if (domains != nullptr) context.xl().libxl_dominfo_list_free(domains, count);
  return ended;
}

}  // namespace rookery::backends
