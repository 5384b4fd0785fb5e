// Interprets the part of iPXE's script language that boot scripts use. Pure: what a script needs from the
// world (files, the lease, time) it asks of a ScriptHost, and what comes out is what to boot. A script is a
// stranger's file: its size, steps, depth and growth are bounded, and what is not understood is named with
// its line.
//
// Understood: comments, :labels, line continuation, ${settings} (nested, scoped, typed), ; && ||, and the
// commands
//   echo set clear inc isset iseq goto sleep exit | dhcp ifconf ifopen | kernel imgselect initrd imgfetch
//   module imgargs imgfree boot imgexec chain
// A failing command ends the script with its error unless || follows, as in iPXE; so does an unknown command.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/units.h"
#include "images/initramfs/boot_url.h"
#include "images/initramfs/ipxe_settings.h"

namespace rookery::ipxe {

inline constexpr std::size_t kScriptMax = 256u << 10;  // bytes
inline constexpr std::size_t kLinesMax = 8192;
inline constexpr std::size_t kLineMax = 16u << 10;  // bytes, with its continuations
inline constexpr std::size_t kStepsMax = 10000;     // commands of one boot, so that a loop by goto ends
inline constexpr std::size_t kChainDepthMax = 8;
inline constexpr std::size_t kExpansionMax = 16u << 10;  // bytes of one word
inline constexpr std::size_t kExpansionStepsMax = 256;   // settings expanded in one word
inline constexpr std::size_t kImagesMax = 16;
inline constexpr std::size_t kSettingsMax = 256;
inline constexpr std::size_t kCommandLineMax = 2048;  // COMMAND_LINE_SIZE of x86 and UML kernels
inline constexpr unsigned kSleepMaxSeconds = 3600;

enum class ImageUse { kernel, initrd };

// The script's world. Borrowed by run_script for the time of the call.
class ScriptHost {
 public:
  virtual ~ScriptHost() = default;
  // The text of a script; of at most kScriptMax bytes.
  virtual Result<std::string> fetch_script(const BootUrl& url) = 0;
  // Gets an image and gives a handle to it (a path, say), which comes back in BootImage, as do its arguments.
  virtual Result<std::string> fetch_image(const BootUrl& url, ImageUse use, std::string_view arguments) = 0;
  // A setting of the machine or its lease. `scope` is "" or what stood before the slash: net0, netX,
  // net0.dhcp.
  virtual std::optional<Setting> setting(std::string_view scope, std::string_view name) = 0;
  // Brings an interface ("" for any) up, and asks by DHCP too if `configure`; success if that is done
  // already.
  virtual Status bring_up(std::string_view interface, bool configure) = 0;
  virtual Status sleep(Duration duration) = 0;
  // A line for the console: what echo says, and failures that the script caught by ||.
  virtual void print(std::string_view line) = 0;
};

struct BootImage {
  std::string name;  // as commands refer to it: the URL's file name, or --name
  BootUrl url;
  ImageUse use = ImageUse::kernel;  // as what it was fetched
  std::string handle;
  std::string arguments;
};

struct BootChoice {
  BootImage kernel;                // its arguments are the command line
  std::vector<BootImage> initrds;  // in the order in which the script got them
};

// How a script ended: with something to boot, or on its own (`exit`, or past its last line).
struct ScriptEnd {
  std::optional<BootChoice> boot;
  unsigned exit_code = 0;
  std::string
      last_caught{};  // the last failure that the script caught by ||, which may be why it did not boot
};

// Runs the script `text`, which came from `url`. An Error names the line: "line 7: 'sanboot' is not
// understood …".
Result<ScriptEnd> run_script(std::string_view text, const BootUrl& url, ScriptHost& host);

}  // namespace rookery::ipxe
