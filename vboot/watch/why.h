// Why is this machine not ready? Reasons from what its own boot shows (the record) and what stands around it
// (faults in force, its port, its boot server) to one cause and one sentence. Pure: the supervisor collects
// the facts, in a running lab and in virtual time alike.
//
// The deepest evidence wins: a kernel that panicked is not asked for its DHCP. An answer that says no (a NAK,
// a 404, a refused export) is the cause by itself. Silence is not: its cause is sought around the machine,
// nearest first, and only if all is well there it is the silence.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vboot/watch/boot_record.h"
#include "vboot/watch/firmware_words.h"

namespace rookery::vboot {

// Something in force, or in a state, that can keep frames or a machine from doing what they should.
struct Circumstance {
  Cause cause;       // what it would be the cause of
  std::string text;  // "its link is down since 2.1 s (fault n37.down)"
};

struct Surroundings {
  std::vector<Circumstance> circumstances;  // nearest first; those that may be the cause of silence
  std::vector<std::string> console;         // its last lines
  std::optional<std::string> panic;         // the console's line that says so, if there is one
  std::optional<std::string> out_of_memory;
  bool has_firmware = false;             // its own; the others start with a kernel
  bool console_is_silent = false;        // since its power-on
  std::optional<FirmwareSays> firmware;  // what that said last, if it told of an error
  std::string slowness;                  // why its hypervisor is slower than it could be, or empty
  std::optional<Circumstance> no_start;  // of a machine that starts from a disk: why no kernel was
  Bytes memory;                          // that the machine has
  std::string waiting;                   // why it was not started yet, or empty
  Time start{};                          // of the lab: sentences count from it
};

struct Why {
  Cause cause = Cause::unknown;
  std::string sentence;
};
Why explain(const BootRecord& boot, const Surroundings& around, Time now);

// The console's line that tells of a kernel's end, or of want of memory; its last lines are looked through.
std::optional<std::string> panic_line(const std::vector<std::string>& console);
std::optional<std::string> out_of_memory_line(const std::vector<std::string>& console);
// What SeaBIOS, OVMF or GRUB say when they start nothing.
std::optional<Circumstance> no_start_line(const std::vector<std::string>& console);

}  // namespace rookery::vboot
