#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>

#include "backends/qemu/accelerator.h"
#include "backends/qemu/qemu_backend.h"
#include "base/file.h"
#include "base/process.h"

namespace rookery::backends {
namespace {

struct Example {
  const char* name;  // of its golden file
  Hardware hardware;
  Accelerator accelerator = Accelerator::tcg;
  bool direct_kernel = false;
  bool has_disk = false;
};
std::ostream& operator<<(std::ostream& out, const Example& example) {
  return out << example.name;
}

const std::vector<Example> kExamples{
    {"pc-bios", {}},
    {"q35-uefi-e1000e-kvm", {Chipset::q35, Firmware::uefi, NicModel::e1000e, {}}, Accelerator::kvm},
    {"pc-rtl8139-more", {Chipset::pc, Firmware::bios, NicModel::rtl8139, {"-device", "virtio-vga"}}},
    {"pc-e1000-kernel", {Chipset::pc, Firmware::bios, NicModel::e1000, {}}, Accelerator::tcg, true},
    {"pc-disk-graphics",
     {.nic = NicModel::ne2k, .disk = DiskModel::virtio, .graphics = Graphics::virtio},
     Accelerator::tcg,
     false,
     true},
    {"q35-uefi-sata",
     {.chipset = Chipset::q35, .firmware = Firmware::uefi, .disk = DiskModel::sata},
     Accelerator::tcg,
     false,
     true},
    {"pc-datagram", {.wire = Wire::datagram}},
    {"microvm", {Chipset::microvm, Firmware::bios, NicModel::virtio, {}}, Accelerator::tcg, true},
};

MachineSpec spec_of(const Example& example) {
  MachineSpec spec;
  spec.name = "n1";
  spec.memory = mebibytes(512);
  spec.folder = "/run/user/1000/rookery/lab/m/n1";
  spec.hardware = example.hardware;
  const bool is_virtio = example.hardware.nic == NicModel::virtio;
  const NicWire wire = example.hardware.wire == Wire::datagram ? NicWire::datagram
                       : is_virtio                             ? NicWire::vhost_user
                                                               : NicWire::stream;
  spec.nics = {{{0x52, 0x54, 0, 0, 0, 1}, "net0", nullptr, false, wire},
               {{0x0a, 0x52, 0x4b, 0, 0, 1}, "net1", nullptr, true, NicWire::stream}};
  if (example.has_disk) spec.disks = {{.file = "/store/a,medium"}};
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
  BOOST_TEST(refusal({.chipset = Chipset::microvm, .graphics = Graphics::standard}, true) ==
             "machine 'n1': a microvm has no graphics");
  const Hardware ide{.chipset = Chipset::q35, .disk = DiskModel::ide};
  const auto with_disk =
      qemu_arguments(spec_of({"", ide, Accelerator::tcg, false, true}), Accelerator::tcg, {});
  BOOST_REQUIRE(!with_disk.has_value());
  BOOST_TEST(with_disk.error().message == "machine 'n1': a q35 has no IDE disks; its disks are sata");
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

BOOST_AUTO_TEST_CASE(a_qemu_that_is_missing_or_too_old_or_none_says_so) {
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  const auto program = folder.path() / "qemu";
  EventLoop loop(std::make_unique<VirtualPacer>());
  QemuFiles files;
  files.program = program;
  const auto why = [&] { return QemuBackend(loop, Accelerator::tcg, files).probe({}).error().message; };
  BOOST_TEST(why() == "there is no " + program.string() + "; install: qemu-system-x86");
  const auto says = [&](const std::string& words) {
    BOOST_REQUIRE(write_file(program, "#!/bin/sh\necho '" + words + "'\n", 0755).has_value());
  };
  says("QEMU emulator version 6.2.0 (Debian)");
  BOOST_TEST(why() == "QEMU 6.2 is too old: '-netdev stream' came with 7.2");
  says("Bochs");
  BOOST_TEST(why() == "this is no QEMU: it calls itself 'Bochs'");
  says("QEMU emulator version 8.0.0");
  const auto able = QemuBackend(loop, Accelerator::tcg, files).probe({});
  BOOST_REQUIRE(able.has_value());
  BOOST_TEST((able->wire == NicWire::vhost_user));
  BOOST_TEST((able->management_wire == NicWire::stream));
}

struct LastChange final : MachineEvents {
  std::string reason;
  MachineState state = MachineState::running;
  void state_changed(Machine&, MachineState now, const std::string& why) override {
    state = now;
    reason = why;
  }
  void console_output(Machine&, std::string_view) override {}
};

BOOST_AUTO_TEST_CASE(what_qemu_says_when_it_refuses_or_dies_is_in_the_reason) {
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  const auto other = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  const std::filesystem::path theirs = other.path() / "disk", secret = other.path() / "secret";
  for (const auto& file : {theirs, secret})
    BOOST_REQUIRE(write_file(file, file.filename().string()).has_value());
  EventLoop loop(std::make_unique<WallPacer>());
  const auto end_of = [&](const std::string& script) {
    QemuFiles files;
    files.program = folder.path() / "qemu";
    // Its first words are those of a QEMU; what it is started for comes with more arguments than one.
    const std::string text = "#!/bin/sh\n[ $# -gt 1 ] || exec echo QEMU emulator version 7.2\n" + script;
    BOOST_REQUIRE(write_file(files.program, text, 0755).has_value());
    MachineSpec spec;
    spec.name = "m";
    spec.memory = mebibytes(16);
    spec.folder = folder.path();
    spec.hardware.more_arguments = {"-drive", "file=" + theirs.string() + ",if=none"};
    LastChange events;
    auto machine = QemuBackend(loop, Accelerator::tcg, files).create(spec, events).value();
    BOOST_REQUIRE(machine->start().has_value());
    BOOST_REQUIRE(
        loop.run_until([&] { return events.state != MachineState::running; }, std::chrono::seconds(20)));
    BOOST_TEST((events.state == MachineState::failed));
    return events.reason;
  };
  BOOST_TEST(end_of("echo 'qemu: -nosuch: invalid option' >&2; exit 1") ==
             "QEMU: exit code 1: qemu: -nosuch: invalid option");
  // It reaches the files that its arguments name, and no others of the user's.
  BOOST_TEST(end_of("/usr/bin/cat " + theirs.string() + " >&2; exit 1") == "QEMU: exit code 1: disk");
  const std::string said = end_of("/usr/bin/cat " + secret.string() + " >&2; exit 1");
  if (host_walls().namespaces) {
    BOOST_TEST(said.find("No such file") != std::string::npos);
  } else if (host_walls().landlock > 0) {
    BOOST_TEST(said.find("Permission denied") != std::string::npos);
  }
  BOOST_TEST(end_of("kill -ABRT $$") == "QEMU: killed by signal 6 (Aborted)");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::backends
