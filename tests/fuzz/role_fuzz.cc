// Any text as a role's manifest: it is refused by name, or none of its paths leads out of its folder.
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "vboot/lab/role.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  const auto role = vboot::parse_role(as_text({data, size}), "fuzz.yaml");
  if (!role) {
    if (role.error().kind != ErrorKind::usage || !role.error().message.starts_with("fuzz.yaml:"))
      std::abort();
    return 0;
  }
  for (const auto& file : role->files) {
    if (file.path.starts_with('/') || (file.path + "/").find("../") == 0 ||
        (file.path + "/").find("/../") != std::string::npos)
      std::abort();
  }
  return 0;
}
