#include "base/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace rookery {

tl::unexpected<Error> fail_errno(std::string_view what, int errno_value) {
  return fail(std::string(what) + ": " + std::generic_category().message(errno_value));
}

tl::unexpected<Error> fail_errno(std::string_view what) {
  return fail_errno(what, errno);
}

void bug(std::string_view message, const char* file, int line) {
  std::fprintf(stderr, "rookery: a bug of ours at %s:%d: %.*s\n", file, line,
               static_cast<int>(message.size()), message.data());
  std::abort();
}

}  // namespace rookery
