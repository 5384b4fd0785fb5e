#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <iostream>

#include "backends/libvirt/libvirt_backend.h"
#include "base/command.h"
#include "base/file.h"

namespace rookery::backends {
namespace {

struct Example {
  const char* name;  // of its golden file
  const char* uri;
  Hardware hardware{};
  bool kvm = false;
  bool direct_kernel = false;
  bool has_disk = false;
};
std::ostream& operator<<(std::ostream& out, const Example& example) {
  return out << example.name;
}

const std::vector<Example> kExamples{
    {"embed-bios", "qemu:///embed"},
    {"session-uefi-e1000e-kvm",
     "qemu:///session",
     {Chipset::q35, Firmware::uefi, NicModel::e1000e, {}, DiskModel::virtio, Graphics::qxl},
     true},
    {"embed-rtl8139-more",
     "qemu:///embed",
     {Chipset::pc,
      Firmware::bios,
      NicModel::rtl8139,
      {"-device", "virtio-vga", "-fw_cfg", "name=a,string=<'&\">"}}},
    {"session-kernel", "qemu:///session", {Chipset::pc, Firmware::bios, NicModel::e1000, {}}, false, true},
    {"embed-disk", "qemu:///embed", {}, false, false, true},
    {"session-sata",
     "qemu:///session",
     {.chipset = Chipset::q35, .firmware = Firmware::uefi, .disk = DiskModel::sata},
     true,
     false,
     true},
    {"system", "qemu:///system"},
    {"ssh", "qemu+ssh://box/system"},
    {"test", "test:///default"},
    {"xen", "xen:///system"},
    {"lxc", "lxc:///system"},
    {"esx", "esx://box/?no_verify=1"},
};

MachineSpec spec_of(const Example& example) {
  MachineSpec spec;
  spec.name = "n1";
  spec.memory = mebibytes(512);
  spec.folder = "/run/user/1000/rookery/lab/m/n1";
  spec.hardware = example.hardware;
  spec.nics = {{{0x52, 0x54, 0, 0, 0, 1}, "net0", nullptr, false},
               {{0x0a, 0x52, 0x4b, 0, 0, 1}, "net1", nullptr, true}};
  if (example.has_disk) spec.disks = {{.file = "/store/a,medium"}};
  if (!example.direct_kernel) return spec;
  spec.kernel = "/store/vmlinuz";
  spec.initramfs = "/store/stage1.cpio";
  spec.command_line = "quiet panic=-1";
  return spec;
}

const DomainOwner kOwner{"lab", "ann@desk:/run/user/1000/rookery/lab"};

std::filesystem::path golden_of(const Example& example) {
  return std::string("tests/golden/libvirt/") + example.name + ".xml";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(libvirt)

// GOLDEN=update writes the files anew.
BOOST_DATA_TEST_CASE(its_domain_xml_is_as_it_was, boost::unit_test::data::make(kExamples), example) {
  const auto xml = domain_xml(*parse_libvirt_uri(example.uri), kOwner, spec_of(example), example.kvm, {});
  BOOST_REQUIRE(xml.has_value());
  if (const char* mode = std::getenv("GOLDEN"); mode != nullptr && std::string_view(mode) == "update")
    BOOST_REQUIRE(write_file(golden_of(example), *xml).has_value());
  const auto expected = read_file(golden_of(example));
  BOOST_REQUIRE(expected.has_value());
  BOOST_TEST(*xml == *expected);
}

BOOST_DATA_TEST_CASE(libvirts_own_schema_takes_it, boost::unit_test::data::make(kExamples), example) {
  const auto program = find_program("virt-xml-validate", "libvirt-clients");
  if (!program) {
    std::cerr << "skipped: " << program.error().message << '\n';
    return;
  }
  const auto said = run_command({{program->string(), golden_of(example).string(), "domain"}, {}});
  BOOST_REQUIRE(said.has_value());
  BOOST_TEST(said->exit_code == 0, said->output << said->errors);
}

BOOST_AUTO_TEST_CASE(a_machine_that_cannot_be_is_refused_with_the_reason) {
  const auto refusal = [](const MachineSpec& spec, const char* uri = "qemu:///embed") {
    const auto made = domain_xml(*parse_libvirt_uri(uri), kOwner, spec, false, {});
    BOOST_REQUIRE(!made.has_value());
    BOOST_TEST((made.error().kind == ErrorKind::usage));
    return made.error().message;
  };
  MachineSpec spec = spec_of(kExamples[0]);
  spec.hardware.chipset = Chipset::microvm;
  BOOST_TEST(refusal(spec) == "machine 'n1': libvirt makes machines of the chipsets pc and q35 only");
  spec = spec_of(kExamples[0]);
  spec.disks = {{.file = "/a"}, {.file = "/b"}};
  BOOST_TEST(refusal(spec) == "machine 'n1': it has more disks than one");
  spec.disks.pop_back();
  spec.hardware = {.chipset = Chipset::q35, .disk = DiskModel::ide};
  BOOST_TEST(refusal(spec) == "machine 'n1': a q35 has no IDE disks; its disks are sata");
  spec.hardware = {};
  BOOST_TEST(refusal(spec, "qemu+ssh://box/system") ==
             "machine 'n1': its disk is a file of this lab, which machines of qemu+ssh://box/system do not "
             "reach; use qemu:///embed or qemu:///session");
  spec = spec_of(kExamples[0]);
  spec.folder = "/run/" + std::string(98, 'x');  // with "/net0" 108 bytes
  BOOST_TEST(refusal(spec).find("set XDG_RUNTIME_DIR to a shorter folder") != std::string::npos);
  spec.folder = "/run/" + std::string(97, 'x');
  BOOST_TEST(domain_xml(*parse_libvirt_uri("qemu:///embed"), kOwner, spec, false, {}).has_value());
}

BOOST_AUTO_TEST_CASE(a_uri_is_read_and_written) {
  for (const char* text : {"qemu:///embed", "qemu:///embed?root=/srv/vm", "qemu:///session", "qemu:///system",
                           "qemu+ssh://ann@box:2222/system?keyfile=k", "xen:///system", "lxc:///system",
                           "esx://box/", "test:///default"}) {
    const auto uri = parse_libvirt_uri(text);
    BOOST_REQUIRE(uri.has_value());
    BOOST_TEST(uri->text() == text);
  }
  const auto here = [](const char* text) { return parse_libvirt_uri(text)->runs_as_us(); };
  BOOST_TEST((here("qemu:///embed") && here("qemu:///session") && here("qemu+unix:///session?socket=/s")));
  BOOST_TEST(!(here("qemu:///system") || here("qemu+ssh://box/session") || here("xen:///system") ||
               here("test:///default")));
}

BOOST_AUTO_TEST_CASE(a_uri_that_is_none_says_what_is_wrong) {
  const auto wrong = [](std::string_view text) {
    const auto uri = parse_libvirt_uri(text);
    BOOST_REQUIRE(!uri.has_value());
    BOOST_TEST((uri.error().kind == ErrorKind::usage));
    return uri.error().message;
  };
  BOOST_TEST(wrong("vbox:///session") ==
             "'vbox:///session' is no URI of libvirt: there is no driver 'vbox'; Rookery "
             "knows qemu, test, xen, lxc, esx");
  BOOST_TEST(wrong("") == "'' is no URI of libvirt: expected something like qemu:///session");
  BOOST_TEST(wrong("qemu+pigeon://box/system").find("there is no transport 'pigeon'") != std::string::npos);
  BOOST_TEST(wrong("qemu:///").find("QEMU's paths are /embed, /session and /system") != std::string::npos);
  BOOST_TEST(wrong("qemu+ssh://box/embed").find("within our own process") != std::string::npos);
  for (const char* query : {"x", "root=", "root=here", "root=/a&b=c", "root=/a%20b"})
    BOOST_TEST(wrong(std::string("qemu:///embed?") + query).find("nothing but ?root=/A/FOLDER") !=
               std::string::npos);
  BOOST_TEST(wrong("qemu:///sess ion").find("space") != std::string::npos);
  BOOST_TEST(wrong(std::string(2000, 'q')).find("too long") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(ours_is_what_has_our_name_our_uuid_and_our_metadata) {
  const std::string name = domain_name(kOwner, "n1"), uuid = domain_uuid(kOwner, "n1");
  BOOST_TEST(name == "rookery-lab-n1");
  BOOST_TEST(is_ours(kOwner, name, uuid, true));
  BOOST_TEST(!is_ours(kOwner, name, uuid, false));
  BOOST_TEST(!is_ours(kOwner, "n1", uuid, true));
  BOOST_TEST(!is_ours(kOwner, domain_name(kOwner, "n2"), uuid, true));
  const DomainOwner elsewhere{"lab", "bob@desk:/run/user/1001/rookery/lab"};
  BOOST_TEST(!is_ours(elsewhere, name, uuid, true));
  // "rookery-lab-n1" is also how the machine lab-n1 of a lab called rookery would begin.
  BOOST_TEST(!is_ours({"rookery-lab", kOwner.place}, "rookery-rookery-lab-n1", uuid, true));
}

BOOST_AUTO_TEST_CASE(what_libvirt_says_when_it_does_not_open_comes_with_what_to_do) {
  const auto system = *parse_libvirt_uri("qemu:///system"), embed = *parse_libvirt_uri("qemu:///embed");
  BOOST_TEST(advice(system, "Failed to connect socket to '/run/libvirt/libvirt-sock': Permission denied")
                 .find("adduser <you> libvirt") != std::string::npos);
  BOOST_TEST(
      advice(system, "Failed to connect socket to '/run/libvirt/libvirt-sock': No such file or directory")
          .find("install libvirt-daemon-system") != std::string::npos);
  BOOST_TEST(advice(embed, "Failed to parse user 'libvirt-qemu'").find("adduser --system") !=
             std::string::npos);
  BOOST_TEST(advice(embed, "no connection driver available for qemu:///embed") ==
             "; install: libvirt-daemon-driver-qemu");
  BOOST_TEST(advice(*parse_libvirt_uri("qemu+ssh://box/system"), "authentication failed") ==
             "; this user lacks the right to it");
  BOOST_TEST(advice(embed, "something else") == "");
}

struct Changes final : MachineEvents {
  std::vector<std::pair<MachineState, std::string>> all;
  void state_changed(Machine&, MachineState now, const std::string& why) override {
    all.emplace_back(now, why);
  }
  void console_output(Machine&, std::string_view) override {}
};

// libvirt's own mock: domains without machines in them.
struct Mock {
  EventLoop loop{std::make_unique<WallPacer>()};
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  ConnectionHandle connection{virConnectOpen("test:///default"),
                              [](virConnect* one) { virConnectClose(one); }};
  Changes changes;
  LibvirtBackend backend{loop, {*parse_libvirt_uri("test:///default"), kOwner, {}}, [] { return false; }};

  std::unique_ptr<Machine> machine(const std::string& name) {
    MachineSpec spec;
    spec.name = name;
    spec.memory = mebibytes(16);
    spec.folder = folder.path();
    auto made = backend.create(std::move(spec), changes);
    BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
    return std::move(*made);
  }
  void wait_for(std::size_t count) {
    BOOST_REQUIRE(loop.run_until([&] { return changes.all.size() >= count; }, std::chrono::seconds(30)));
  }
  // A domain that is somebody else's, however it is called.
  DomainHandle foreign(const std::string& name) {
    const std::string xml = "<domain type='test'><name>" + name +
                            "</name><memory>8192</memory><os><type>hvm</type></os></domain>";
    return {virDomainCreateXML(connection.get(), xml.c_str(), 0), [](virDomain* one) {
              virDomainDestroy(one);
              virDomainFree(one);
            }};
  }
  DomainHandle find(const std::string& name) {
    return {virDomainLookupByName(connection.get(), name.c_str()), [](virDomain* one) {
              if (one != nullptr) virDomainFree(one);
            }};
  }
};

BOOST_AUTO_TEST_CASE(a_domain_is_made_reset_and_cut) {
  Mock mock;
  const auto machine = mock.machine("n1");
  BOOST_REQUIRE(machine->start().has_value());
  BOOST_TEST(machine->start().error().message == "n1 is running already");
  BOOST_REQUIRE(machine->power(PowerAction::reset).has_value());
  mock.wait_for(2);
  BOOST_TEST((mock.changes.all[0] == std::pair(MachineState::off, std::string("reset"))));
  BOOST_TEST((mock.changes.all[1] == std::pair(MachineState::running, std::string("reset"))));
  BOOST_REQUIRE(machine->power(PowerAction::cut).has_value());
  mock.wait_for(3);
  BOOST_TEST((mock.changes.all[2] == std::pair(MachineState::off, std::string("power cut"))));
  BOOST_TEST(mock.find("rookery-lab-n1").get() == nullptr);
}

BOOST_AUTO_TEST_CASE(somebody_elses_domain_of_that_name_is_left_alone) {
  Mock mock;
  const auto theirs = mock.foreign("rookery-lab-n1");
  BOOST_REQUIRE(theirs.get() != nullptr);
  {
    const auto machine = mock.machine("n1");
    BOOST_REQUIRE(machine->start().has_value());
    mock.wait_for(1);
    BOOST_TEST((mock.changes.all[0].first == MachineState::failed));
    BOOST_TEST(mock.changes.all[0].second.find(
                   "there is a domain 'rookery-lab-n1' already, and it is not ours") == 0u,
               mock.changes.all[0].second);
  }
  BOOST_TEST(virDomainIsActive(theirs.get()) == 1);
}

BOOST_AUTO_TEST_CASE(what_a_killed_run_left_is_destroyed_and_nothing_else) {
  Mock mock;
  const auto theirs = mock.foreign("rookery-lab-n2");
  MachineSpec spec;
  spec.name = "n1";
  spec.memory = mebibytes(16);
  const auto uri = *parse_libvirt_uri("test:///default");
  for (const DomainOwner& owner : {kOwner, DomainOwner{"lab2", kOwner.place}}) {
    const auto xml = domain_xml(uri, owner, spec, false, {});
    virDomainFree(virDomainCreateXML(mock.connection.get(), xml->c_str(), 0));
  }
  const auto destroyed = destroy_domains_of({uri, kOwner, {}});
  BOOST_REQUIRE(destroyed.has_value());
  BOOST_TEST(*destroyed == std::vector<std::string>{"rookery-lab-n1"}, boost::test_tools::per_element());
  BOOST_TEST(mock.find("rookery-lab-n1").get() == nullptr);
  BOOST_TEST(mock.find("rookery-lab2-n1").get() != nullptr);
  BOOST_TEST(mock.find("test").get() != nullptr);  // the mock's own
  BOOST_TEST(virDomainIsActive(theirs.get()) == 1);
  // The other lab's start does the same for it.
  const DomainOwner other{"lab2", kOwner.place};
  LibvirtBackend backend(mock.loop, {uri, other, {}}, [] { return false; });
  BOOST_REQUIRE(backend.probe({}).has_value());
  BOOST_TEST(mock.find("rookery-lab2-n1").get() == nullptr);
}

BOOST_AUTO_TEST_CASE(a_domain_that_somebody_else_destroys_is_a_failure_and_says_so) {
  Mock mock;
  const auto machine = mock.machine("n1");
  BOOST_REQUIRE(machine->start().has_value());
  DomainHandle domain;
  BOOST_REQUIRE(mock.loop.run_until([&] { return (domain = mock.find("rookery-lab-n1")) != nullptr; },
                                    std::chrono::seconds(30)));
  BOOST_REQUIRE(virDomainDestroy(domain.get()) == 0);
  mock.wait_for(1);
  BOOST_TEST((mock.changes.all[0] ==
              std::pair(MachineState::failed, std::string("somebody else destroyed its domain"))));
}

BOOST_AUTO_TEST_CASE(a_daemon_that_is_not_there_and_a_place_that_cannot_be_reached_say_so) {
  EventLoop loop(std::make_unique<WallPacer>());
  const auto why = [&](const char* uri) {
    LibvirtBackend backend(loop, {*parse_libvirt_uri(uri), kOwner, {}}, [] { return false; });
    const auto able = backend.probe({});
    BOOST_REQUIRE(!able.has_value());
    return able.error().message;
  };
  BOOST_TEST(
      why("qemu+unix:///session?socket=/nowhere/sock").find("'/nowhere/sock': No such file or directory") !=
      std::string::npos);
  for (const char* uri : {"esx://box/", "lxc:///system", "xen:///system", "qemu:///system",
                          "qemu+ssh://box/system", "qemu+tls://box/session"})
    BOOST_TEST(why(uri) == std::string("machines of ") + uri +
                               " run as somebody else or somewhere else, where this lab's network does not "
                               "reach them; use qemu:///embed or qemu:///session");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::backends
