// A ScriptHost whose files and settings are given by the test; it remembers what it was asked. Owned by the
// test.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "guest/script/ipxe_script.h"

namespace rookery::ipxe {

class ScriptedHost final : public ScriptHost {
 public:
  std::map<std::string, std::string> files;
  std::map<std::string, Setting> settings{
      {"mac", {{0x52, 0x54, 0, 0x12, 0x34, 0xab}, SettingType::hex}},
      {"ip", {{10, 0, 0, 5}, SettingType::ipv4}},
      {"next-server", {{10, 0, 0, 1}, SettingType::ipv4}},
      {"hostname", Setting::text("n1")},
      {"platform", Setting::text("uml")},
      {"buildarch", Setting::text("x86_64")},
  };
  std::vector<std::string> printed, fetched, dropped, guesses;
  std::vector<FetchOptions> options;  // of each fetch
  std::uint32_t features = 1u << 29;  // of the extended leaf's EDX: long mode
  Duration slept{0};

  Result<std::string> fetch_script(const BootUrl& url, const FetchOptions& how) override {
    options.push_back(how);
    const auto file = files.find(url.to_string());
    if (file == files.end()) return fail("not found");
    return file->second;
  }
  Result<std::string> fetch_image(const BootUrl& url, ImageUse use, std::string_view,
                                  const FetchOptions& how) override {
    options.push_back(how);
    fetched.push_back((use == ImageUse::kernel ? "kernel " : "initrd ") + url.to_string());
    if (url.path.find("missing") != std::string::npos) return fail("not found");
    return "handle:" + url.file_name();
  }
  std::optional<Setting> setting(std::string_view scope, std::string_view name) override {
    if (scope != "" && scope != "net0" && scope != "netX") return std::nullopt;
    const auto found = settings.find(std::string(name));
    return found == settings.end() ? std::nullopt : std::optional(found->second);
  }
  Status bring_up(std::string_view interface, bool) override {
    if (interface.empty() || interface == "net0") return {};
    return fail("there is no interface " + std::string(interface));
  }
  Status sleep(Duration duration) override {
    slept += duration;
    return {};
  }
  void drop_image(const std::string& handle) override { dropped.push_back(handle); }
  bool is_kernel(const std::string& handle) override { return handle.find("linuz") != std::string::npos; }
  std::uint32_t cpu_features(bool extended, bool ecx) override { return extended && !ecx ? features : 0; }
  void print(std::string_view line) override { printed.emplace_back(line); }
  void guessed(std::string_view what) override { guesses.emplace_back(what); }
};

}  // namespace rookery::ipxe
