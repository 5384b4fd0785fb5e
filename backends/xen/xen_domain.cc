#include "backends/xen/xen_domain.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "backends/xen/xen_config.h"

namespace rookery::backends {
namespace {

std::string owner_of(XenContext& context, std::uint32_t id) {
  return context.read(fmt::format("/local/domain/{}/{}", id, kXenOwnerKey)).value_or("");
}

}  // namespace

Error XenDomain::error(XenContext& context, std::string_view doing, int code) {
  const std::string complaint = context.take_complaint();
  return Error{ErrorKind::infrastructure,
               fmt::format("{} the domain {}: {}", doing, plan_.name,
                           complaint.empty() ? fmt::format("libxl's error {}", code) : complaint)};
}

void XenDomain::make(XenContext& context, Made made, XenContext::Ended ended) {
  made_ = std::move(made);
  ended_ = std::move(ended);
  (void)context.take_complaint();
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
        return context.xl().libxl_domain_create_new(context.get(), &config_, &id_, how, nullptr);
      },
      [self = shared_from_this(), &context](int code) { self->was_made(context, code); });
}

// What becomes of it when libxl is done: handed over, or, if nobody wants it any more, destroyed.
void XenDomain::was_made(XenContext& context, int code) {
  making_ = false;
  there_ = code == 0;
  if (destroyed_) return destroy(context, std::exchange(destroyed_, {}));
  if (code != 0) {
    clear(context);
    return made_(tl::unexpected<Error>(error(context, "making", code)));
  }
  context.ended[id_] = ended_;
  char* path = nullptr;
  int failed = context.xl().libxl_evenable_domain_death(context.get(), id_, 0, &death_);
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

void XenDomain::let_run(XenContext& context, Done done) {
  runs_ = true;
  if (stopped_) return done({});
  stop(context, false, std::move(done));
}

void XenDomain::stop(XenContext& context, bool stopped, Done done) {
  stopped_ = stopped;
  if (!there_ || !runs_) return done({});
  context.operate(
      [&](const libxl_asyncop_how* how) {
        return stopped ? context.xl().libxl_domain_pause(context.get(), id_, how)
                       : context.xl().libxl_domain_unpause(context.get(), id_, how);
      },
      [self = shared_from_this(), &context, done = std::move(done)](int code) {
        done(code == 0 ? Status() : tl::unexpected<Error>(self->error(context, "pausing", code)));
      });
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
  if (making_) {
    destroyed_ = std::move(done);
    return;
  }
  if (!there_) {
    clear(context);
    return done({});
  }
  there_ = false;
  context.ended.erase(id_);
  if (death_ != nullptr)
    context.xl().libxl_evdisable_domain_death(context.get(), std::exchange(death_, nullptr));
  context.operate(
      [&](const libxl_asyncop_how* how) {
        return context.xl().libxl_domain_destroy(context.get(), id_, how);
      },
      [self = shared_from_this(), &context, done = std::move(done)](int code) {
        self->clear(context);
        done(code == 0 ? Status() : tl::unexpected<Error>(self->error(context, "destroying", code)));
      });
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
