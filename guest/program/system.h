// Small dealings with the kernel that the guest programs share: files, mounts, other programs, power.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace rookery::guest {

inline constexpr const char* kRunFolder = "/run/rookery";

Time now();  // CLOCK_MONOTONIC

// A line on the console: "rookery <program>: text".
void set_program_name(std::string_view name);
void say(std::string_view text);

Result<std::string> read_text(const std::string& path, std::size_t limit = 1u << 20);
Status write_text(const std::string& path, std::string_view content, unsigned mode = 0644);  // replaces
Status tell_kernel(const std::string& path, std::string_view content);  // a file of /sys, /proc or /dev
// Where the machine is short of memory, the kernel ends programs, but none that is kept. What a kept program
// starts is kept as well, until it is given back: every program of ours that starts others has to.
void keep_when_memory_is_short();
void give_back_when_memory_is_short();
Status make_folders(const std::string& path);                   // with its parents
std::vector<std::string> list_folder(const std::string& path);  // sorted; empty if there is none

Status mount_at(const char* source, const std::string& target, const char* type, unsigned long flags = 0,
                const std::string& options = "");
// /proc, /sys, /dev (devtmpfs), /run, and the console as standard input, output and error.
void mount_kernel_file_systems();
// Moves /proc, /sys, /dev and /run into the new root, empties the old one (an initramfs, or what stage one
// made), and enters the new.
Status switch_root(const std::string& new_root);

// Runs a program to its end, or kills it after `limit`; as long as the file `growing` grows, the limit begins
// anew. An Error carries its exit code or its last words.
Status run_program(const std::vector<std::string>& argv, Duration limit, const std::string& folder = "/",
                   const std::string& growing = "");

// The value of `key=` among the blank-separated words of a kernel command line; the last one counts.
std::string command_line_value(std::string_view command_line, std::string_view key);
std::string kernel_command_line();
bool runs_in_user_mode_linux();

// Only as PID 1 does it power the machine off; otherwise (a test) it exits with 1.
[[noreturn]] void power_off();
[[noreturn]] void restart();

}  // namespace rookery::guest
