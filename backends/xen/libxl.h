// The door to Xen's library, opened at run time: the program must start where there is no Xen, and one of the
// libraries that libxl wants is of one Xen version only. Loaded once, and then there until the process ends.
#pragma once

#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>
#include <xenstore.h>

#include "base/result.h"

// Each function that we call, under its own name and type.
#define ROOKERY_LIBXL_FUNCTIONS(USE)    \
  USE(libxl_ctx_alloc)                  \
  USE(libxl_childproc_setmode)          \
  USE(libxl_event_register_callbacks)   \
  USE(libxl_event_free)                 \
  USE(libxl_osevent_beforepoll)         \
  USE(libxl_osevent_afterpoll)          \
  USE(libxl_domain_config_init)         \
  USE(libxl_domain_config_from_json)    \
  USE(libxl_domain_config_dispose)      \
  USE(libxl_domain_create_new)          \
  USE(libxl_domain_restore_params_init) \
  USE(libxl_domain_create_restore)      \
  USE(libxl_domain_suspend)             \
  USE(libxl_domain_resume)              \
  USE(libxl_domain_pause)               \
  USE(libxl_domain_unpause)             \
  USE(libxl_domain_shutdown)            \
  USE(libxl_send_trigger)               \
  USE(libxl_domain_destroy)             \
  USE(libxl_evenable_domain_death)      \
  USE(libxl_evdisable_domain_death)     \
  USE(libxl_primary_console_get_tty)    \
  USE(libxl_list_domain)                \
  USE(libxl_domain_info)                \
  USE(libxl_dominfo_dispose)            \
  USE(libxl_dominfo_list_free)          \
  USE(libxl_domid_to_name)              \
  USE(libxl_name_to_domid)              \
  USE(xs_open)                          \
  USE(xs_close)                         \
  USE(xs_read)

namespace rookery::backends {

struct Libxl {
#define ROOKERY_LIBXL_MEMBER(name) decltype(&::name) name = nullptr;  // NOLINT(bugprone-macro-parentheses)
  ROOKERY_LIBXL_FUNCTIONS(ROOKERY_LIBXL_MEMBER)
#undef ROOKERY_LIBXL_MEMBER

  static Result<const Libxl*> load();
};

}  // namespace rookery::backends
