#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>

#include "backends/qemu/accelerator.h"
#include "base/file.h"

namespace rookery::backends {
namespace {

struct Example {
  const char* name;  // of its golden file
  Hardware hardware;
  Accelerator accelerator = Accelerator::tcg;
  bool direct_kernel = false;
};
std::ostream& operator<<(std::ostream& out, const Example& example) {
  return out << example.name;
}

const std::vector<Example> kExamples{
    {"pc-bios", {}},
    {"q35-uefi-e1000e-kvm", {Chipset::q35, Firmware::uefi, NicModel::e1000e, {}}, Accelerator::kvm},
    {"pc-rtl8139-more", {Chipset::pc, Firmware::bios, NicModel::rtl8139, {"-device", "virtio-vga"}}},
    {"pc-e1000-kernel", {Chipset::pc, Firmware::bios, NicModel::e1000, {}}, Accelerator::tcg, true},
    {"microvm", {Chipset::microvm, Firmware::bios, NicModel::virtio, {}}, Accelerator::tcg, true},
};

MachineSpec spec_of(const Example& example) {
  MachineSpec spec;
  spec.name = "n1";
  spec.memory = mebibytes(512);
  spec.folder = "/run/user/1000/rookery/lab/m/n1";
  spec.hardware = example.hardware;
  spec.nics = {{{0x52, 0x54, 0, 0, 0, 1}, "net0", nullptr, false},
               {{0x0a, 0x52, 0x4b, 0, 0, 1}, "net1", nullptr, true}};
  if (!example.direct_kernel) return spec;
  spec.kernel = "/store/vmlinuz";
  spec.initramfs = "/store/stage1.cpio";
  spec.command_line = "quiet panic=-1";
  return spec;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(qemu)

// GOLDEN=update writes the files anew.
BOOST_DATA_TEST_CASE(its_command_line_is_as_it_was, boost::unit_test::data::make(kExamples), example) {
  const auto arguments = qemu_arguments(spec_of(example), example.accelerator, {});
  BOOST_REQUIRE(arguments.has_value());
  std::string text;
  for (const std::string& argument : *arguments) text += argument + (argument[0] == '-' ? " " : "\n");
  const std::filesystem::path golden = std::string("tests/golden/qemu/") + example.name;
  if (const char* mode = std::getenv("GOLDEN"); mode != nullptr && std::string_view(mode) == "update")
    BOOST_REQUIRE(write_file(golden, text).has_value());
  const auto expected = read_file(golden);
  BOOST_REQUIRE(expected.has_value());
  BOOST_TEST(text == *expected);
}

BOOST_AUTO_TEST_CASE(a_machine_that_cannot_be_is_refused_with_the_reason) {
  const auto refusal = [](Hardware hardware, bool direct_kernel) {
    const auto made =
        qemu_arguments(spec_of({"", hardware, Accelerator::tcg, direct_kernel}), Accelerator::tcg, {});
    BOOST_REQUIRE(!made.has_value());
    return made.error().message;
  };
  BOOST_TEST(refusal({Chipset::microvm, Firmware::bios, NicModel::virtio, {}}, false) ==
             "machine 'n1': a microvm has no firmware that boots from a network");
  BOOST_TEST(refusal({Chipset::microvm, Firmware::uefi, NicModel::virtio, {}}, true) ==
             "machine 'n1': a microvm has no UEFI");
  BOOST_TEST(refusal({Chipset::microvm, Firmware::bios, NicModel::e1000, {}}, true) ==
             "machine 'n1': a microvm has only virtio NICs");
  MachineSpec with_disk = spec_of(kExamples[0]);
  with_disk.disks = {{"disk0"}};
  BOOST_TEST(!qemu_arguments(with_disk, Accelerator::tcg, {}).has_value());
}

BOOST_AUTO_TEST_CASE(the_version_is_read_or_what_was_said_instead_is_shown) {
  BOOST_TEST((parse_qemu_version("QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright").value() ==
              std::pair(7, 2)));
  BOOST_TEST((parse_qemu_version("QEMU emulator version 10.0").value() == std::pair(10, 0)));
  for (const char* text : {"", "QEMU emulator version", "QEMU emulator version x", "QEMU emulator version 7",
                           "QEMU emulator version 7.", "bochs 3"})
    BOOST_TEST(!parse_qemu_version(text).has_value());
  BOOST_TEST(parse_qemu_version("bochs 3\nx").error().message ==
             "this is no QEMU: it calls itself 'bochs 3'");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::backends
