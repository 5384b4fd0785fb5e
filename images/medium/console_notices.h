// What the User-Mode Linux kernel of Rookery says on its console, in virtual time, about instructions that
// answer a program without asking any kernel (images/make/kernel/patches/0002-*.patch prints these lines,
// once per file and machine). Pure values; the supervisor parses each console line and words its report and
// grade by them.
//
//   rookery: time stamp counter answered from virtual time: <program>, in <file>
//   rookery: the processor's own random or processor number: <program>, in <file>
//
// <program> is the kernel's short name of the process (at most 15 bytes), <file> the last four parts of the
// mapped file's path within its file system, or "memory". The first line is harmless: the value was that of
// virtual time. The second says that the file's code holds RDRAND, RDSEED or RDPID, which run past every
// kernel: whether it was executed is not known, and a run in which it was cannot be repeated.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rookery::images {

struct ConsoleNotice {
  enum class Kind { time_stamp_answered, hardware_value };
  Kind kind = Kind::time_stamp_answered;
  std::string program;  // printable; what is not stands as '?'
  std::string file;     // the same
  friend bool operator==(const ConsoleNotice&, const ConsoleNotice&) = default;
};

// One line of a console, with or without its line end. Nothing for a line that is not one of ours.
std::optional<ConsoleNotice> parse_console_notice(std::string_view line);

// Whether a run with this notice may differ from its repetition: a hardware value, in a file that is not
// known to take its random numbers from the kernel unless it is told otherwise (OpenSSL, libgcrypt, the C++
// library).
bool endangers_repetition(const ConsoleNotice& notice);

}  // namespace rookery::images
