// Any bytes as a script: it ends, within its bounds, with a choice or a named error. The script's own text
// answers chain, so that nesting is reached too.
#include <cstdlib>

#include "guest/script/ipxe_script.h"

using namespace rookery;
using namespace rookery::ipxe;

namespace {

class FuzzHost final : public ScriptHost {
 public:
  explicit FuzzHost(std::string_view text) : text_(text) {}
  Result<std::string> fetch_script(const BootUrl& url, const FetchOptions& options) override {
    if (options.form && options.form->size() > kFormMax) std::abort();
    if (options.silence > std::chrono::milliseconds(kTimeoutMaxMilliseconds)) std::abort();
    if (url.path.size() % 3 == 0) return fail("not found");
    return std::string(text_.substr(0, kScriptMax));
  }
  Result<std::string> fetch_image(const BootUrl& url, ImageUse, std::string_view,
                                  const FetchOptions&) override {
    held_ += 1;
    if (held_ > kImagesMax) std::abort();
    return url.to_string();
  }
  void drop_image(const std::string&) override {
    if (held_ == 0) std::abort();
    held_ -= 1;
  }
  bool is_kernel(const std::string& handle) override { return handle.size() % 2 == 0; }
  std::uint32_t cpu_features(bool, bool) override { return 0x5a5a5a5a; }
  std::optional<Setting> setting(std::string_view, std::string_view name) override {
    if (name == "mac") return Setting{{0x52, 0x54, 0, 1, 2, 3}, SettingType::hex};
    if (name == "hostname") return Setting::text(text_.substr(0, 64));
    return std::nullopt;
  }
  Status bring_up(std::string_view interface, bool) override {
    return interface == "net0" ? Status() : fail("no such interface");
  }
  Status sleep(Duration duration) override {
    if (duration > std::chrono::seconds(kSleepMaxSeconds)) std::abort();
    return ++sleeps_ <= 5 ? Status() : fail("no more sleep");  // a script that sleeps may go on for ever
  }
  void print(std::string_view) override {}
  void guessed(std::string_view what) override {
    if (what.empty()) std::abort();
  }

 private:
  std::string_view text_;
  std::size_t held_ = 0, sleeps_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = "#!ipxe\n" + std::string(as_text(ByteView(data, size)));
  FuzzHost host(text);
  const auto url = parse_url("http://10.0.0.1/boot/first.ipxe");
  const auto end = run_script(text, *url, host);
  if (!end && end.error().message.empty()) std::abort();
  if (end && end->boot && end->boot->kernel.arguments.size() >= kCommandLineMax) std::abort();
  const std::string_view reference = std::string_view(text).substr(7);
  if (const auto resolved = resolve_url(*url, reference); resolved && !parse_url(resolved->to_string())) {
    std::abort();
  }
  return 0;
}
