#include "backends/xen/libxl.h"

#include <dlfcn.h>

#include <string>

namespace rookery::backends {
namespace {

Result<Libxl> open_library() {
  // ROOKERY_LIBXL_SONAME: that of the headers we were built with (backends/CMakeLists.txt); another version's
  // structures are laid out differently.
  void* library = ::dlopen(ROOKERY_LIBXL_SONAME, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return fail(std::string(::dlerror()) + "; install: xen-utils of the version that this program is for");
  Libxl libxl;
  const char* missing = nullptr;
#define ROOKERY_LIBXL_FIND(name)                                             \
  libxl.name = reinterpret_cast<decltype(&::name)>(::dlsym(library, #name)); \
  if (libxl.name == nullptr) missing = #name;
  ROOKERY_LIBXL_FUNCTIONS(ROOKERY_LIBXL_FIND)
#undef ROOKERY_LIBXL_FIND
  if (missing != nullptr) return fail(std::string(ROOKERY_LIBXL_SONAME " has no ") + missing);
  return libxl;
}

}  // namespace

Result<const Libxl*> Libxl::load() {
  static const Result<Libxl> loaded = open_library();
  if (!loaded) return tl::unexpected<Error>(loaded.error());
  return &*loaded;
}

}  // namespace rookery::backends
