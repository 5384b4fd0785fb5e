// Expected failures as values: Result<T> carries either a T or an Error that says what was being done,
// outermost first, and of what class it is, so that the command line can choose its exit code (see
// ErrorKind).
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace rookery {

// What a caller can do about a failure; the values are the exit codes of the command line.
enum class ErrorKind {
  expectation = 1,       // what was asked for was tried and did not come true
  usage = 2,             // the command's words or a lab file are wrong: correct and call again
  timeout = 3,           // it did not happen in time
  infrastructure = 4,    // the host lacks something, or a file is damaged: the message names it
  not_reproducible = 5,  // two runs that had to be the same were not
  interrupted = 130      // somebody ended it (Ctrl-C, SIGTERM, SIGHUP) before it had a result
};

// One failure. Copyable, self-contained, made where the failure is seen and widened on the way up.
struct Error {
  ErrorKind kind = ErrorKind::infrastructure;
  std::string message;

  // The same failure, with what was being done when it happened in front: "doing: message".
  [[nodiscard]] Error while_doing(std::string_view doing) && {
    message.insert(0, std::string(doing) + ": ");
    return std::move(*this);
  }
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(ErrorKind kind, std::string message) {
  return tl::unexpected<Error>(Error{kind, std::move(message)});
}
inline tl::unexpected<Error> fail(std::string message) {
  return fail(ErrorKind::infrastructure, std::move(message));
}
// A failed system call: "what: strerror(errno_value)".
tl::unexpected<Error> fail_errno(std::string_view what, int errno_value);
tl::unexpected<Error> fail_errno(std::string_view what);  // with the current errno

// A bug of ours: prints the message and where, and aborts.
[[noreturn]] void bug(std::string_view message, const char* file = __builtin_FILE(),
                      int line = __builtin_LINE());

// Hands the error of a failed Result or Status up, and otherwise goes on:  ROOKERY_TRY(parse(text));
#define ROOKERY_TRY(expression)                                     \
  do {                                                              \
    if (auto rookery_try = (expression); !rookery_try) {            \
      return tl::unexpected<::rookery::Error>(rookery_try.error()); \
    }                                                               \
  } while (false)

}  // namespace rookery
