// Any bytes as a bzImage: nothing may crash, and what is taken for a kernel is one.
#include "backends/xen/unpacked_kernel.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto kernel = rookery::backends::unpacked_kernel({data, size});
  if (kernel && !kernel->starts_with("\x7f"
                                     "ELF"))
    __builtin_trap();
  return 0;
}
