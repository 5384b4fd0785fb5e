// The virtual boot ROM's view of the world for the script interpreter: files by busybox's wget and tftp,
// settings from the lease and the machine. Owned by stage one for the time of the script.
#pragma once

#include <optional>
#include <string>

#include "guest/program/lease.h"
#include "guest/program/management.h"
#include "guest/script/ipxe_script.h"

namespace rookery::guest {

// The word of command lines that says which kernel it is that starts: a script's to the boot ROM, and a
// host's to the kernel that it starts itself.
inline constexpr std::string_view kKernelDigest = "rookery.kernel.sha256";
// Whether a kernel with these arguments is the one that runs.
bool is_running_kernel(std::string_view arguments);

class BootRom final : public ipxe::ScriptHost {
 public:
  BootRom(const Interface& nic, const Lease& lease, Report& report);

  // Where the answer to DHCP says that the script is.
  Result<ipxe::BootUrl> script_url() const;
  // Whether getting an image is what failed last: then the boot ended in the stage `kernel`, not in `script`.
  bool image_failed() const { return image_failed_; }

  Result<std::string> fetch_script(const ipxe::BootUrl& url, const ipxe::FetchOptions& options) override;
  // The handle is the file's path; of a kernel that is not fetched, "": User-Mode Linux keeps its own, and
  // one that runs already is kept.
  Result<std::string> fetch_image(const ipxe::BootUrl& url, ipxe::ImageUse use, std::string_view arguments,
                                  const ipxe::FetchOptions& options) override;
  void drop_image(const std::string& handle) override;
  bool is_kernel(const std::string& handle) override;
  std::optional<ipxe::Setting> setting(std::string_view scope, std::string_view name) override;
  Status bring_up(std::string_view interface, bool configure) override;
  Status sleep(Duration duration) override;
  std::uint32_t cpu_features(bool extended, bool ecx) override;
  void print(std::string_view line) override;
  void guessed(std::string_view what) override;

 private:
  Status fetch(const ipxe::BootUrl& url, const std::string& file, Duration limit,
               const ipxe::FetchOptions& options);

  Interface nic_;
  Lease lease_;
  Report& report_;
  bool user_mode_linux_;
  bool image_failed_ = false;
  bool image_asked_ = false;
  unsigned files_ = 0;
};

}  // namespace rookery::guest
