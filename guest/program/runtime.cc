// What libstdc++ and libnl would draw in and this program never uses: throwing (we compile without
// exceptions; a failed allocation ends the process), the verbose terminate handler, and name resolution.
// Saves half a megabyte of an initramfs that every machine holds in memory. Replacing operator new is the
// standard's way
// ([replacement.functions]); the std::__throw_* functions are libstdc++'s, declared in <bits/functexcept.h>.
#include <netdb.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/result.h"

namespace {

[[noreturn]] void die(const char* what) {
  static const char prefix[] = "rookery: fatal: ";
  (void)!write(2, prefix, sizeof prefix - 1);
  (void)!write(2, what, std::strlen(what));
  (void)!write(2, "\n", 1);
  std::abort();
}

}  // namespace

namespace std {
void __throw_length_error(const char* what) {
  die(what);
}
void __throw_logic_error(const char* what) {
  die(what);
}
void __throw_out_of_range(const char* what) {
  die(what);
}
void __throw_out_of_range_fmt(const char* what, ...) {
  die(what);
}
void __throw_invalid_argument(const char* what) {
  die(what);
}
void __throw_bad_alloc() {
  die("out of memory");
}
void __throw_bad_array_new_length() {
  die("out of memory");
}
void __throw_bad_function_call() {
  die("bad function call");
}
void __throw_bad_cast() {
  die("bad cast");
}
}  // namespace std

void* operator new(std::size_t size) {
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) die("out of memory");
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

// libnl resolves names for programs that print them; nothing here asks for a name.
extern "C" {
int getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) {
  return EAI_FAIL;
}
void freeaddrinfo(addrinfo*) {}
const char* gai_strerror(int) {
  return "not built in";
}
protoent* getprotobyname(const char*) {
  return nullptr;
}
protoent* getprotobynumber(int) {
  return nullptr;
}
}

namespace rookery {

// base/result.cc without <system_error>, which would draw in locales.
tl::unexpected<Error> fail_errno(std::string_view what, int errno_value) {
  return fail(std::string(what) + ": " + std::strerror(errno_value));
}
tl::unexpected<Error> fail_errno(std::string_view what) {
  return fail_errno(what, errno);
}
void bug(std::string_view message, const char*, int) {
  die(std::string(message).c_str());
}

}  // namespace rookery
