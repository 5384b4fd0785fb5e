// The boot script as machines understand it: run by the interpreter of the virtual boot ROM, as each
// platform.
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "guest/script/ipxe_script.h"

using namespace rookery;

namespace {

// A machine of one platform on a network where everything, or everything but one file, can be fetched.
class Machine final : public ipxe::ScriptHost {
 public:
  Machine(std::string platform, std::string missing)
      : platform_(std::move(platform)), missing_(std::move(missing)) {}

  Result<std::string> fetch_script(const ipxe::BootUrl& url, const ipxe::FetchOptions&) override {
    return fail("no script " + url.to_string());
  }
  Result<std::string> fetch_image(const ipxe::BootUrl& url, ipxe::ImageUse, std::string_view,
                                  const ipxe::FetchOptions&) override {
    if (url.file_name() == missing_) return fail("404");
    fetched += url.to_string() + " ";
    return url.to_string();
  }
  std::optional<ipxe::Setting> setting(std::string_view scope, std::string_view name) override {
    if (name == "platform") return ipxe::Setting::text(platform_);
    if (name == "next-server") return ipxe::Setting{{10, 77, 0, 1}, ipxe::SettingType::ipv4};
    if (scope == "net0" && name == "mac")
      return ipxe::Setting{{0x52, 0x54, 0, 0, 0, 7}, ipxe::SettingType::hex};
    return std::nullopt;
  }
  void drop_image(const std::string&) override {}
  bool is_kernel(const std::string& handle) override { return handle.ends_with("vmlinuz"); }
  std::uint32_t cpu_features(bool, bool) override { return 0; }
  Status bring_up(std::string_view, bool) override { return {}; }
  Status sleep(Duration) override { return {}; }
  void print(std::string_view line) override { printed += std::string(line) + "\n"; }
  void guessed(std::string_view what) override { print(what); }

  std::string fetched, printed;

 private:
  std::string platform_, missing_;
};

Result<ipxe::ScriptEnd> run(Machine& machine) {
  const auto script = read_file("tests/golden/roles/classroom/server/run/rookery/role/public/boot.ipxe");
  BOOST_REQUIRE(script);
  return ipxe::run_script(*script, ipxe::parse_url("http://10.77.0.1/boot.ipxe").value(), machine);
}

const std::string kKernel(64, 'a'), kStageTwo(64, 'b'), kModules(64, 'c');

}  // namespace

BOOST_AUTO_TEST_SUITE(boot_script_suite)

BOOST_AUTO_TEST_CASE(user_mode_linux_fetches_the_second_stage_and_no_kernel) {
  Machine machine("uml", "");
  const auto end = run(machine);
  BOOST_REQUIRE_MESSAGE(end, end.error().message);
  BOOST_REQUIRE(end->boot);
  BOOST_TEST(machine.fetched == "http://10.77.0.1/stage2.cpio ");
  BOOST_TEST(end->boot->kernel.name == "stage2.cpio");
  BOOST_TEST(end->boot->kernel.arguments ==
             "rookery.share=nbd://10.77.0.1:10809/root.squashfs rookery.initrd.sha256=" + kStageTwo);
  BOOST_TEST(end->boot->initrds.empty());
}

BOOST_AUTO_TEST_CASE(a_machine_with_firmware_fetches_kernel_second_stage_and_modules) {
  for (const char* platform : {"pcbios", "efi", "linux"}) {
    Machine machine(platform, "");
    const auto end = run(machine);
    BOOST_REQUIRE_MESSAGE(end, end.error().message);
    BOOST_REQUIRE(end->boot);
    BOOST_TEST(end->boot->kernel.name == "vmlinuz");
    const std::string initrds =
        platform == std::string("efi") ? "initrd=stage2.cpio initrd=modules.cpio" : "";
    BOOST_TEST(end->boot->kernel.arguments ==
               initrds +
                   " console=tty0 console=ttyS0,115200 quiet panic=-1 "
                   "no_timer_check rookery.share=nbd://10.77.0.1:10809/root.squashfs "
                   "rookery.initrd.sha256=" +
                   kStageTwo + "," + kModules + " rookery.kernel.sha256=" + kKernel);
    BOOST_REQUIRE(end->boot->initrds.size() == 2u);
    BOOST_TEST(end->boot->initrds[0].name == "stage2.cpio");
    BOOST_TEST(end->boot->initrds[1].name == "modules.cpio");
  }
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_fetched_ends_in_words_on_the_console) {
  for (const auto& [platform, missing] : std::vector<std::pair<std::string, std::string>>{
           {"uml", "stage2.cpio"}, {"efi", "vmlinuz"}, {"efi", "stage2.cpio"}, {"pcbios", "modules.cpio"}}) {
    Machine machine(platform, missing);
    const auto end = run(machine);
    BOOST_REQUIRE_MESSAGE(end, end.error().message);
    BOOST_TEST(!end->boot);
    BOOST_TEST(end->exit_code == 1u);
    BOOST_TEST(machine.printed.find(missing) != std::string::npos);
    BOOST_TEST(machine.printed.find("Rookery: the boot script failed on " + platform +
                                    " 52:54:00:00:00:07") != std::string::npos);
  }
}

BOOST_AUTO_TEST_SUITE_END()
