#include "vboot/run/session/lab_backends.h"

namespace rookery::vboot {

Result<backends::Backend*> LabBackends::of(const MachinePlan& machine, const std::string& lab,
                                           const std::filesystem::path& folder) {
  auto& slot = made_[{machine.backend, machine.uri}];
  if (slot) return slot.get();
  auto made = factory_({machine.backend, machine.uri, lab, folder}, loop_);
  if (!made) return tl::unexpected<Error>(made.error());
  slot = std::move(*made);
  if (!slot) return fail(ErrorKind::usage, "this build has no backend '" + machine.backend + "'");
  return slot.get();
}

}  // namespace rookery::vboot
