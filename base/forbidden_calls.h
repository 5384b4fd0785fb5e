// The system calls that a confined process is refused, as a program for seccomp.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace rookery {

// Refused calls return an error and never end the process: what a guest's program calls runs, under User-Mode
// Linux, in a process that is confined by this as well, and its own filter, which hands the call to the
// guest's kernel, comes first only before an error (seccomp(2), "the order of precedence").
std::vector<sock_filter> forbidden_calls(bool traces);

}  // namespace rookery
