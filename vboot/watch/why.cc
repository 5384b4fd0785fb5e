#include "vboot/watch/why.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "guest/protocol/medium_layout.h"

namespace rookery::vboot {
namespace {

// Longer than any pause that a healthy transfer makes, and shorter than what a person waits.
constexpr Duration kSilence = std::chrono::seconds(1);
// What firmware takes at most from its power-on to its first word or frame, on a busy host.
constexpr Duration kFirmwareSilence = std::chrono::seconds(10);
constexpr std::uint16_t kTftpPort = 69;  // RFC 1350
constexpr std::size_t kConsoleLines = 3;
constexpr std::string_view kPanic = "Kernel panic - not syncing";  // kernel/panic.c
constexpr std::string_view kTriesAgain = "; it tries to connect again, in vain";

// What the evidence of one stage says.
struct Finding {
  Cause cause = Cause::unknown;
  std::string text;
  bool is_silence = false;  // nobody said no: the cause may lie around
};

// An instant as the sentences have it.
std::string in_words(Duration since_start) {
  return fmt::format("{:.3f} s", seconds(since_start));
}

std::string count(std::uint32_t number, std::string_view what) {
  return number == 0 ? fmt::format("no {}", what) : fmt::format("{} {}", number, what);
}

std::string times(unsigned number) {
  return number == 1 ? "once" : fmt::format("{} times", number);
}

Finding in_dhcp(const WireEvidence& wire) {
  const auto of = [&](WireStep step) { return wire.count(step); };
  if (of(WireStep::discover) == 0 && of(WireStep::request) == 0) {
    return {Cause::no_frame, "DHCP: no DISCOVER", true};
  }
  std::string text = fmt::format("DHCP: {}, {}", count(of(WireStep::discover), "DISCOVER"),
                                 count(of(WireStep::offer), "OFFER"));
  const bool answered = of(WireStep::ack) > 0 || (of(WireStep::offer) > 0 && of(WireStep::request) == 0);
  if (answered && wire.architecture && wire.boot_file.empty()) {
    return {
        Cause::wrong_architecture,
        fmt::format("{}; it says to be of architecture {} (option 93), and no answer names a boot file for "
                    "that",
                    text, architecture_name(*wire.architecture))};
  }
  if (of(WireStep::offer) == 0 && of(WireStep::ack) == 0 && of(WireStep::nak) == 0)
    return {Cause::no_offer, std::move(text), true};
  if (of(WireStep::ack) > 0) {
    text = fmt::format("DHCP: {} was given by {}", wire.address.text(), wire.server.text());
    if (!wire.boot_file.empty())
      return {Cause::unknown, fmt::format("{}, boot file {}", text, wire.boot_file)};
    return {Cause::no_boot_file, text + ", and its answer names no boot file"};
  }
  text += fmt::format(", {}, {}", count(of(WireStep::request), "REQUEST"), count(0, "ACK"));
  if (of(WireStep::nak) == 0) return {Cause::no_ack, std::move(text), true};
  text += fmt::format(", {}", count(of(WireStep::nak), "NAK"));
  if (!wire.nak.empty()) text += fmt::format(" (\"{}\")", wire.nak);
  return {Cause::dhcp_refused, std::move(text)};
}

bool is_quiet(const WireEvidence& wire, Time now) {
  return now - wire.last_heard >= kSilence;
}

Finding in_files(const WireEvidence& wire, Time start, Time now) {
  const std::string host = wire.file_server.text();
  const Sighting& asked = wire.of(WireStep::file_asked);
  if (wire.by_tftp) {
    if (!wire.answer.empty())
      return {Cause::tftp_error, fmt::format("TFTP: {} says of {}: {}", host, wire.file, wire.answer)};
    if (wire.count(WireStep::tftp_data) == 0 && wire.unreachable_port == kTftpPort)
      return {Cause::refused,
              fmt::format("TFTP: {} says that nobody listens there at port {} (it asked for {})", host,
                          kTftpPort, wire.file)};
    if (wire.count(WireStep::tftp_data) == 0)
      return {Cause::no_answer,
              fmt::format("TFTP: {} for {}, no answer from {}",
                          count(wire.count(WireStep::tftp_read), "requests"), wire.file, host),
              true};
  } else if (wire.http_status >= 400) {
    return {Cause::http_error,
            fmt::format("HTTP: {} {}: http://{}{}", wire.http_status, wire.answer, host, wire.file)};
  } else if (!wire.asked_for.is_zero() && asked.count == 0) {
    return {Cause::no_answer,
            fmt::format("ARP: {} for {}, no answer", count(wire.count(WireStep::arp_question), "questions"),
                        wire.asked_for.text()),
            true};
  } else if (asked.count > 0 && wire.of(WireStep::file_accepted).last < asked.first) {
    if (wire.count(WireStep::file_reset) > 0) {
      return {Cause::refused, fmt::format("HTTP: {} refuses the connection: nobody listens there", host)};
    }
    return {Cause::no_answer,
            fmt::format("HTTP: {} to {}, no answer", count(asked.count, "attempts to connect"), host), true};
  } else if (asked.count > 0 && wire.of(WireStep::file_reset).last > wire.of(WireStep::file_accepted).last &&
             wire.of(WireStep::file_reset).last >= asked.last) {
    return {Cause::refused, fmt::format("HTTP: {} refuses the connection: nobody listens there", host)};
  } else if (!wire.file.empty() && wire.http_status == 0) {
    return {Cause::no_answer, fmt::format("HTTP: GET http://{}{} has no answer", host, wire.file), true};
  }
  if (wire.file.empty()) return {Cause::unknown, {}, true};
  if (!is_quiet(wire, now)) return {Cause::unknown, {}};
  const bool tries = !wire.by_tftp && asked.last > wire.of(WireStep::file_accepted).last;
  return {Cause::stalled,
          fmt::format("{}: {} began to come, and nothing came after {}{}", wire.by_tftp ? "TFTP" : "HTTP",
                      wire.file, in_words(wire.last_heard - start), tries ? kTriesAgain : ""),
          true};
}

Finding in_root(const WireEvidence& wire, Time start, Time now) {
  const std::string_view service = netsim::name(wire.root_service);
  const std::string host = wire.root_server.text();
  const Sighting& asked = wire.of(WireStep::root_asked);
  const Sighting& accepted = wire.of(WireStep::root_accepted);
  if (asked.count == 0) return {Cause::unknown, {}};
  if (wire.count(WireStep::nbd_refused) > 0 && wire.count(WireStep::nbd_accepted) == 0) {
    return {Cause::export_refused, fmt::format("NBD: {} refuses the export '{}': {}{}", host, wire.share,
                                               netsim::nbd_error_name(wire.nbd_error),
                                               wire.nbd_words.empty() ? "" : " (" + wire.nbd_words + ")")};
  }
  const Sighting& reset = wire.of(WireStep::root_reset);
  if (reset.count > 0 && reset.last >= asked.last && reset.last >= accepted.last) {
    return {Cause::refused,
            fmt::format("{}: {} refuses the connection: nobody listens there", service, host)};
  }
  if (accepted.count == 0) {
    return {Cause::no_answer,
            fmt::format("{}: {} to {}, no answer", service,
                        count(asked.count, asked.count == 1 ? "attempt to connect" : "attempts to connect"),
                        host),
            true};
  }
  if (!is_quiet(wire, now)) return {Cause::unknown, {}};
  return {Cause::stalled,
          fmt::format("{}: connected to {}, and nothing came after {}{}", service, host,
                      in_words(wire.last_heard - start), asked.last > accepted.last ? kTriesAgain : ""),
          true};
}

Finding on_the_wire(const BootRecord& boot, Time start, Time now) {
  const WireEvidence& wire = boot.wire;
  if (wire.sent == 0 && boot.got_to() == Stage::root) return {};  // it has its root from a disk
  if (wire.sent == 0) {
    return {Cause::no_frame,
            fmt::format("it has sent nothing on its cable since its power-on at {}",
                        in_words(boot.powered_on - start)),
            true};
  }
  switch (boot.got_to()) {
    case Stage::firmware:
    case Stage::dhcp:
      return in_dhcp(wire);
    case Stage::script:
    case Stage::kernel:
      return in_files(wire, start, now);
    case Stage::root:
      return in_root(wire, start, now);
    default:
      return {};
  }
}

bool has(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

// What a machine means that gave up by itself, where the wire shows nothing wrong.
Cause cause_of_words(const BootRecord& boot) {
  if (has(boot.said, "Connection refused")) return Cause::refused;
  if (has(boot.said, "digest of ")) return Cause::bad_digest;
  if (has(boot.said, "manifest.json is damaged")) return Cause::bad_medium;
  if (has(boot.said, "there is no disk that could be a medium")) return Cause::no_disk;
  switch (boot.failed_in) {
    case Stage::dhcp:
      return Cause::no_boot_file;
    case Stage::script:
      return Cause::bad_script;
    case Stage::kernel:
      return Cause::bad_image;
    case Stage::root:
      return Cause::bad_root;
    default:
      return Cause::unknown;
  }
}

// Of a machine that was switched on and is neither ready nor off.
Why of_a_boot(const BootRecord& boot, const Surroundings& around, Time now) {
  const bool failed = boot.stage == Stage::failed;
  std::vector<std::string> parts;
  Why why;
  const auto conclude = [&] {
    for (const std::string& part : parts) {
      if (part.empty()) continue;
      if (!why.sentence.empty()) why.sentence += "; ";
      why.sentence += part;
    }
    return why;
  };
  if (failed) parts.push_back(boot.said);
  const auto with_console = [&] {
    const std::size_t from = around.console.size() - std::min(around.console.size(), kConsoleLines);
    std::string lines;
    for (std::size_t i = from; i < around.console.size(); ++i)
      lines += (lines.empty() ? "console: " : " | ") + around.console[i];
    parts.push_back(std::move(lines));
  };
  if (around.out_of_memory) {
    why.cause = Cause::out_of_memory;
    parts.push_back(fmt::format("out of memory: it has {} MiB (console: {})", around.memory.count >> 20,
                                *around.out_of_memory));
    return conclude();
  }
  // Nobody but the kernel, for want of memory, kills what boots a machine.
  if (boot.failed_by == FailedBy::itself && has(boot.said, "killed by signal 9")) {
    why.cause = Cause::out_of_memory;
    parts.push_back(fmt::format("out of memory: it has {} MiB", around.memory.count >> 20));
    return conclude();
  }
  // Of a machine that no agent and no frame shows farther on.
  if (around.no_start && boot.got_to() == Stage::firmware) {
    why.cause = around.no_start->cause;
    parts.push_back("its console says: " + around.no_start->text);
    return conclude();
  }
  if (around.panic) {
    why.cause = Cause::panic;
    parts.push_back("its kernel panicked: " + *around.panic);
    return conclude();
  }
  if (boot.failed_by == FailedBy::its_end) {
    why.cause = Cause::died;
    // QEMU's own exit code is 1, and such an end comes before anything else does.
    if (has(boot.said, "QEMU: exit code 1: ") && boot.wire.sent == 0) {
      why.cause = Cause::hypervisor_refuses;
      parts.emplace_back(hypervisor_hint(boot.said));
    }
    with_console();
    return conclude();
  }
  const Finding finding = on_the_wire(boot, around.start, failed ? boot.since : now);
  why.cause = finding.cause;
  if (finding.cause == Cause::unknown && boot.failed_by == FailedBy::itself) why.cause = cause_of_words(boot);
  const bool looks_around = finding.is_silence || why.cause == Cause::unknown;
  if (!finding.text.empty() && finding.cause != Cause::unknown) parts.push_back(finding.text);
  const bool young = around.has_firmware && boot.got_to() == Stage::firmware &&
                     now - boot.powered_on < kFirmwareSilence && !around.firmware;
  // Firmware also says what it tried in vain before it came upon what works.
  const bool gave_up = failed || is_quiet(boot.wire, now);
  if (around.firmware && gave_up && boot.got_to() <= Stage::kernel) {
    parts.push_back("its firmware says: " + around.firmware->text);
    if (why.cause == Cause::unknown || why.cause == Cause::no_frame) why.cause = around.firmware->cause;
  } else if (around.has_firmware && why.cause == Cause::no_frame && around.console_is_silent) {
    why.cause = Cause::dead_firmware;
    parts.emplace_back("and nothing on its console: its firmware does not run");
  } else if (why.cause == Cause::unknown && boot.failed_by == FailedBy::deadline &&
             !is_quiet(boot.wire, boot.since)) {
    why.cause = Cause::too_slow;
  }
  if (boot.failed_by == FailedBy::deadline && !around.slowness.empty() &&
      (why.cause == Cause::too_slow || why.cause == Cause::stalled))
    parts.push_back(around.slowness);
  if (looks_around) {
    for (const Circumstance& one : around.circumstances) parts.push_back(one.text);
    if (!around.circumstances.empty()) why.cause = around.circumstances.front().cause;
  }
  if (!failed &&
      (why.cause == Cause::unknown || parts.empty() ||
       (finding.is_silence && around.circumstances.empty() && (young || now - boot.since < kSilence)))) {
    why.cause = Cause::booting;
    parts = {fmt::format("in the stage {} since {}{}", to_string(boot.stage),
                         in_words(boot.since - around.start),
                         boot.detail.empty() ? "" : " (" + boot.detail + ")")};
    return conclude();
  }
  if (why.cause == Cause::unknown) with_console();
  return conclude();
}

// From the word on: a log level may stand before it.
std::optional<std::string> line_with(const std::vector<std::string>& console,
                                     std::span<const std::string_view> words) {
  for (const std::string& line : console) {
    for (const std::string_view word : words) {
      if (has(line, word)) return word == kPanic ? line.substr(line.find(word)) : line;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> panic_line(const std::vector<std::string>& console) {
  constexpr std::array kWords{kPanic};
  return line_with(console, kWords);
}

// The words of mm/oom_kill.c, arch/um/kernel/initrd.c, and strerror(3).
std::optional<std::string> out_of_memory_line(const std::vector<std::string>& console) {
  constexpr std::array<std::string_view, 7> kWords{
      "Out of memory",          "out of memory",           "deadlocked on memory", "invoked oom-killer",
      "Cannot allocate memory", "No space left on device", "Failed to allocate"};
  return line_with(console, kWords);
}

// The words of our boot menu, of GRUB (grub-core/commands/hashsum.c, kern/disk.c, commands/search.c), SeaBIOS
// (src/boot.c) and OVMF (MdeModulePkg, BdsDxe), which starts its shell if all else fails. The first that is
// found counts: the more telling ones come first.
std::optional<Circumstance> no_start_line(const std::vector<std::string>& console) {
  constexpr std::array<std::pair<std::string_view, Cause>, 11> kWords{{
      {": HASH MISMATCH", Cause::bad_medium},
      {": READ ERROR", Cause::bad_medium},
      {"error: failure reading sector", Cause::bad_medium},
      {kMediumDamaged, Cause::bad_medium},
      {"error: no such device: ROOKERY", Cause::bad_medium},
      {"Boot failed: not a bootable disk", Cause::no_disk},
      {"Boot failed: could not read the boot disk", Cause::no_disk},
      {"Boot failed: Could not read from CDROM", Cause::no_disk},
      {"No bootable device.", Cause::no_disk},
      {"No bootable option or device was found", Cause::no_disk},
      {"UEFI Interactive Shell", Cause::no_disk},
  }};
  for (const auto& [word, cause] : kWords) {
    if (auto line = line_with(console, {&word, 1})) return Circumstance{cause, std::move(*line)};
  }
  return std::nullopt;
}

namespace {

// What went before, or beside: it may explain what is, also of a machine that is ready.
void add_history(Why& why, const BootRecord& boot) {
  if (boot.restarts > 0) {
    why.sentence += fmt::format("; it has restarted itself {} before that", times(boot.restarts));
    if (!boot.restarted_for.empty())
      why.sentence += fmt::format("{}: {}", boot.restarts > 1 ? ", the last time" : "", boot.restarted_for);
  }
  for (const std::string& guess : boot.guesses) {
    if (has(boot.said, guess)) continue;
    why.sentence += fmt::format("; {}{}",
                                &guess == &boot.guesses.front() ? "its boot script was guessed at, "
                                                                  "an unknown word counts as no: "
                                                                : "",
                                guess);
  }
}

Why of_a_stage(const BootRecord& boot, const Surroundings& around, Time now) {
  switch (boot.stage) {
    case Stage::ready: {
      // What is in its way by now makes it no less ready.
      std::string text =
          fmt::format("ready since {}, {:.3f} s after its power-on", in_words(boot.since - around.start),
                      seconds(boot.since - boot.powered_on));
      for (const Circumstance& one : around.circumstances)
        text += (&one == &around.circumstances.front() ? "; but " : "; ") + one.text;
      return {Cause::none, std::move(text)};
    }
    case Stage::off:
      if (!around.waiting.empty()) return {Cause::not_started, around.waiting};
      return {Cause::off, "its power is off"};
    default:
      break;
  }
  if (boot.arrived()) {
    return {Cause::none, fmt::format("its root comes by {} since {}; what it does with it, no frame tells",
                                     netsim::name(boot.wire.root_service),
                                     in_words(boot.wire.of(WireStep::root_accepted).last - around.start))};
  }
  if (boot.failed_by == FailedBy::start) return {Cause::not_started, boot.said};
  return of_a_boot(boot, around, now);
}

}  // namespace

Why explain(const BootRecord& boot, const Surroundings& around, Time now) {
  Why why = of_a_stage(boot, around, now);
  add_history(why, boot);
  return why;
}

}  // namespace rookery::vboot
