// Interprets the part of iPXE's script language that boot scripts use. Pure: what a script needs from the
// world (files, the lease, time) it asks of a ScriptHost, and what comes out is what to boot. A script is a
// stranger's file: its size, steps, depth and growth are bounded, and what is not understood is named with
// its line.
//
// Understood: comments, :labels, line continuation, ${settings} (nested, scoped, typed), ; && ||, and the
// commands
//   echo set clear inc show isset iseq cpuid goto sleep exit reboot poweroff | dhcp ifconf ifopen ifclose
//   iflinkwait ifstat route sync | kernel imgselect imgload initrd imgfetch module imgextract imgargs imgfree
//   imgstat boot imgexec chain params param | menu item choose prompt console colour cpair
// A failing command ends the script with its error unless || follows, as in iPXE; so does an unknown command,
// and where && or || goes on after one, the host hears what was guessed. Nobody sits at the console: a menu
// and a prompt are answered by their timeout, and what has none (or asks in any case: read, shell, config,
// login) ends the script.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/units.h"
#include "guest/script/boot_url.h"
#include "guest/script/ipxe_settings.h"

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
inline constexpr std::size_t kMenusMax = 16;
inline constexpr std::size_t kMenuItemsMax = 256;  // of one menu
inline constexpr std::size_t kFormMax = 8u << 10;  // bytes of what `params` sends
inline constexpr unsigned kSleepMaxSeconds = 3600;
inline constexpr unsigned kTimeoutMaxMilliseconds = 3'600'000;

enum class ImageUse { kernel, initrd };

// How to get a file, beside what its address says.
struct FetchOptions {
  Duration silence{};  // how long nothing may come; zero: as long as the host thinks right
  std::optional<std::string>
      form{};            // params: sent along, as HTML forms are (application/x-www-form-urlencoded)
  bool extract = false;  // the file is packed (gzip), and its content is wanted
};

// The script's world. Borrowed by run_script for the time of the call.
class ScriptHost {
 public:
  virtual ~ScriptHost() = default;
  // The text of a script; of at most kScriptMax bytes.
  virtual Result<std::string> fetch_script(const BootUrl& url, const FetchOptions& options) = 0;
  // Gets an image and gives a handle to it (a path, say), which comes back in BootImage, as do its arguments.
  virtual Result<std::string> fetch_image(const BootUrl& url, ImageUse use, std::string_view arguments,
                                          const FetchOptions& options) = 0;
  // Nobody will ask for that image any more.
  virtual void drop_image(const std::string& handle) = 0;
  // Whether an image that was fetched as an initrd is a kernel in truth.
  virtual bool is_kernel(const std::string& handle) = 0;
  // A setting of the machine or its lease. `scope` is "" or what stood before the slash: net0, netX,
  // net0.dhcp.
  virtual std::optional<Setting> setting(std::string_view scope, std::string_view name) = 0;
  // Brings an interface ("" for any) up, and asks by DHCP too if `configure`; success if that is done
  // already.
  virtual Status bring_up(std::string_view interface, bool configure) = 0;
  virtual Status sleep(Duration duration) = 0;
  // The processor's word for its features, as `cpuid` of iPXE asks for it: leaf 1 or 0x80000001, EDX or ECX.
  virtual std::uint32_t cpu_features(bool extended, bool ecx) = 0;
  // A line for the console: what echo says, and failures that the script caught by ||.
  virtual void print(std::string_view line) = 0;
  // The script went on after a word that is not understood, as if its answer was no: "line 3: 'x' …".
  virtual void guessed(std::string_view what) = 0;
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

// How a script ended: with something to boot, by `reboot` or `poweroff`, or on its own (`exit`, or past its
// last line).
struct ScriptEnd {
  enum class Power { none, restart, off };

  std::optional<BootChoice> boot;
  unsigned exit_code = 0;
  Power power = Power::none;
  std::string power_line{};  // "line 12: reboot"
  std::string
      last_caught{};  // the last failure that the script caught by ||, which may be why it did not boot
};

// Runs the script `text`, which came from `url`. An Error names the line: "line 7: 'sanboot' is not
// understood …", and what the script caught before, which may be the cause.
Result<ScriptEnd> run_script(std::string_view text, const BootUrl& url, ScriptHost& host);

}  // namespace rookery::ipxe
