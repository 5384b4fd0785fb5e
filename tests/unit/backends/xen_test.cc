#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>

#include "backends/xen/unpacked_kernel.h"
#include "backends/xen/xen_backend.h"
#include "backends/xen/xen_config.h"
#include "base/command.h"
#include "base/file.h"

namespace rookery::backends {
namespace {

struct Example {
  const char* name;  // of its golden file
  Hardware hardware;
  bool has_disk = false;
};
std::ostream& operator<<(std::ostream& out, const Example& example) {
  return out << example.name;
}

const std::vector<Example> kExamples{
    {"pv", {Chipset::pv, Firmware::bios, NicModel::virtio, {}}},
    {"pvh", {Chipset::pvh, Firmware::bios, NicModel::virtio, {}}},
    {"hvm", {}},
    {"hvm-e1000-more", {Chipset::pc, Firmware::bios, NicModel::e1000, {"-device", "virtio-rng-pci"}}},
    {"pv-disk", {.chipset = Chipset::pv}, true},
    {"hvm-ide", {.disk = DiskModel::ide}, true},
};

MachineSpec spec_of(const Hardware& hardware, bool has_disk = false) {
  MachineSpec spec;
  spec.name = "n1";
  spec.memory = mebibytes(256);
  spec.folder = "/run/rookery/lab/m/n1";
  spec.hardware = hardware;
  spec.nics = {{{0x52, 0x54, 0, 0, 0, 1}, "net0", nullptr, false},
               {{0x0a, 0x52, 0x4b, 0, 0, 1}, "net1", nullptr, true}};
  if (has_disk) spec.disks = {{.file = "/store/a,medium"}};
  if (!is_paravirtual(hardware)) return spec;
  spec.kernel = "/store/vmlinuz";
  spec.initramfs = "/store/stage1.cpio";
  spec.command_line = "quiet panic=-1";
  return spec;
}

// A bzImage of one sector of setup and a payload, by its header (Documentation/arch/x86/boot.rst).
std::string bzimage(const std::string& payload) {
  std::string file(1024, '\0');
  file[0x1f1] = 1;
  file.replace(0x202, 6, std::string_view("HdrS\x0f\x02", 6));
  for (int i = 0; i < 4; ++i) file[0x24c + i] = static_cast<char>(payload.size() >> 8 * i);
  return file + payload;
}

const std::string kKernel =
    "\x7f"
    "ELF" +
    std::string(10'000, 'k');

// What `packer` makes of the kernel, and behind it its size, as the kernel's Makefile does.
std::string packed(const std::string& packer, std::size_t size = kKernel.size()) {
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  BOOST_REQUIRE(write_file(folder.path() / "kernel", kKernel));
  BOOST_REQUIRE(run_checked({{"sh", "-c", packer + " -c kernel >packed"}, folder.path()}));
  std::string payload = read_file(folder.path() / "packed").value();
  if (packer != "gzip") payload += std::string(reinterpret_cast<const char*>(&size), 4);
  return payload;
}

std::string complaint(const std::string& file) {
  const auto kernel = unpacked_kernel(as_bytes(file));
  return kernel ? "" : kernel.error().message;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(xen)

BOOST_AUTO_TEST_CASE(a_kernel_comes_out_of_its_bzimage) {
  for (const char* packer : {"xz --check=crc32", "gzip", "zstd -q"})
    BOOST_TEST((unpacked_kernel(as_bytes(bzimage(packed(packer)))).value() == kKernel), packer);
  BOOST_TEST((unpacked_kernel(as_bytes(bzimage(kKernel))).value() == kKernel));
  BOOST_TEST(is_bzimage(as_bytes(bzimage(kKernel))));
  BOOST_TEST(!is_bzimage(as_bytes(kKernel)));
}

BOOST_AUTO_TEST_CASE(a_bzimage_that_is_not_as_it_says_is_refused) {
  const std::string good = bzimage(packed("xz"));
  BOOST_TEST(complaint("MZ") == "it is no bzImage");
  BOOST_TEST(complaint(good.substr(0, good.size() - 1)).find("its kernel is to be at 1024 to ") == 0);
  BOOST_TEST(complaint(bzimage("abc")) == "its kernel is to be at 1024 to 1027 of its 1027 bytes");
  BOOST_TEST(complaint(bzimage("no format at all")).find("its kernel is to have ") == 0);
  BOOST_TEST(complaint(bzimage(packed("xz", kKernel.size() - 1))) ==
             "what it is packed of has not the 10003 bytes that it says");
  BOOST_TEST(complaint(bzimage(packed("xz", kKernel.size() + 1))) ==
             "what it is packed of has not the 10005 bytes that it says");
  std::string broken = good;
  broken[1024 + 40] ^= 1;
  BOOST_TEST(complaint(broken).find("what it is packed of cannot be unpacked: ") == 0);
  std::string old = good;
  old[0x206] = 7;
  BOOST_TEST(complaint(old).find("it is from before Linux 2.6.26") == 0);
}

// GOLDEN=update writes them anew.
BOOST_DATA_TEST_CASE(a_domain_is_what_its_golden_file_says, boost::unit_test::data::make(kExamples),
                     example) {
  const auto config = xen_domain_config(spec_of(example.hardware, example.has_disk));
  BOOST_REQUIRE(config.has_value());
  const std::filesystem::path golden = std::string("tests/golden/xen/") + example.name + ".json";
  if (const char* mode = std::getenv("GOLDEN"); mode != nullptr && std::string_view(mode) == "update")
    BOOST_REQUIRE(write_file(golden, *config).has_value());
  const auto expected = read_file(golden);
  BOOST_REQUIRE(expected.has_value());
  BOOST_TEST(*config == *expected);
}

BOOST_AUTO_TEST_CASE(a_machine_that_cannot_be_is_refused_with_the_reason) {
  const auto refusal = [](const MachineSpec& spec) {
    const auto made = xen_domain_config(spec);
    BOOST_REQUIRE(!made.has_value());
    BOOST_TEST((made.error().kind == ErrorKind::usage));
    return made.error().message;
  };
  MachineSpec spec = spec_of(kExamples[0].hardware);
  spec.kernel.clear();
  BOOST_TEST(refusal(spec) == "machine 'n1': a paravirtual machine has no firmware of its own");
  BOOST_TEST(refusal(spec_of({Chipset::pvh, Firmware::bios, NicModel::virtio, {"-s"}})) ==
             "machine 'n1': a paravirtual machine has no QEMU for arguments");
  BOOST_TEST(refusal(spec_of({Chipset::q35, Firmware::bios, NicModel::virtio, {}})) ==
             "machine 'n1': Xen's fully virtual machines are of chipset 'pc'");
  BOOST_TEST(refusal(spec_of({Chipset::pc, Firmware::uefi, NicModel::virtio, {}})) ==
             "machine 'n1': only 'firmware: bios' under Xen yet");
  spec = spec_of({});
  spec.folder = "/" + std::string(120, 'f');
  BOOST_TEST(refusal(spec).find("too long for sockets") != std::string::npos);
  spec = spec_of(kExamples[1].hardware);
  spec.disks = {{.file = "/a"}};
  BOOST_TEST(refusal(spec) ==
             "machine 'n1': under Xen a pvh machine has no disk that is only read; use chipset: pv, or none");
  spec.disks = {{.file = "/a"}, {.file = "/b"}};
  BOOST_TEST(refusal(spec) == "machine 'n1': it has more disks than one");
}

BOOST_AUTO_TEST_CASE(machines_of_one_name_in_two_labs_are_two_domains) {
  MachineSpec one = spec_of({}), other = spec_of({});
  other.folder = "/run/rookery/other/m/n1";
  BOOST_TEST(xen_domain_name(one) != xen_domain_name(other));
  BOOST_TEST(xen_domain_name(one).starts_with("rookery-"));
  BOOST_TEST(xen_domain_name(one).ends_with("-n1"));
}

BOOST_AUTO_TEST_CASE(where_there_is_no_xen_it_says_how_one_is_had) {
  if (std::filesystem::exists("/proc/xen/capabilities")) return;
  EventLoop loop(std::make_unique<VirtualPacer>());
  const auto able = XenBackend(loop).probe({});
  BOOST_REQUIRE(!able.has_value());
  BOOST_TEST(able.error().message.find("xen-system-amd64") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::backends
