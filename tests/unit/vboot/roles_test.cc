// The role's files against tests/golden/roles/<lab>/<machine>/…; ROOKERY_UPDATE_GOLDEN=1 writes them anew.
// The same files start real daemons in boot_services_test.sh.
#include "vboot/roles/roles.h"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "images/store/manifest.h"
#include "vboot/lab/uplink.h"
#include "vboot/roles/boot_server.h"

using namespace rookery;
using namespace rookery::vboot;
namespace fs = std::filesystem;

namespace {

const fs::path kGolden = "tests/golden/roles";

// An image with these components and the packages of the shipped roles.
ImageFacts image_with(std::vector<ImageComponent> components) {
  ImageFacts image{std::move(components)};
  for (const std::string_view name : shipped_role_names()) {
    const Role role = **shipped_role("", std::string(name));
    if (!role.packages.empty())
      image.components.push_back({images::layer_component(name, role.packages), std::string(64, 'd')});
  }
  return image;
}
ImageFacts facts() {
  return image_with({{"vmlinuz", std::string(64, 'a')},
                     {"stage2.cpio", std::string(64, 'b')},
                     {"modules.cpio", std::string(64, 'c')},
                     {"san.cpio", std::string(64, '5')}});
}

LabPlan plan_of(std::string_view text, PlanOptions options = {}) {
  auto lab = parse_lab(text, "lab.yaml");
  BOOST_REQUIRE_MESSAGE(lab, lab.error().message);
  auto plan = plan_lab(*lab, options);
  BOOST_REQUIRE_MESSAGE(plan, plan.error().message);
  return *plan;
}
LabPlan example(const std::string& lab) {
  auto text = read_file("examples/" + lab + ".yaml");
  BOOST_REQUIRE(text);
  return plan_of(*text);
}
LabPlan classroom() {
  return example("classroom");
}
LabPlan campus() {
  return example("campus");
}

RoleBundle bundle_of(const LabPlan& plan, std::string_view machine, const ImageFacts& image = facts()) {
  auto bundle = role_files(plan, *plan.find(machine), image);
  BOOST_REQUIRE_MESSAGE(bundle, bundle.error().message);
  return *bundle;
}
std::string content(const RoleBundle& bundle, std::string_view name) {
  const RoleFile* file = bundle.find("run/rookery/role/" + std::string(name));
  BOOST_REQUIRE(file != nullptr);
  return file->content;
}
bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool update_golden() {
  return std::getenv("ROOKERY_UPDATE_GOLDEN") != nullptr;
}

// Guests are alike, and there are a thousand in each VLAN: a few of them will do.
LabPlan with_few_guests(LabPlan plan) {
  for (VlanPlan& vlan : plan.vlans) vlan.guests.last = vlan.guests.first + 3;
  return plan;
}

void compare_with_golden(const RoleBundle& bundle, const fs::path& folder) {
  BOOST_TEST(bundle.roles == "boot-server");
  std::set<fs::path> made;
  for (const RoleFile& file : bundle.files) {
    const fs::path golden = folder / file.path;
    made.insert(golden);
    if (update_golden()) {
      fs::create_directories(golden.parent_path());
      BOOST_REQUIRE(write_file(golden, file.content, file.mode));
    }
    const auto expected = read_file(golden);
    BOOST_REQUIRE_MESSAGE(expected, golden);
    BOOST_TEST(file.content == *expected, golden << " differs; ROOKERY_UPDATE_GOLDEN=1 takes it over");
    BOOST_TEST(((static_cast<unsigned>(fs::status(golden).permissions()) & 0111u) != 0) ==
               ((file.mode & 0111) != 0));
  }
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file())
      BOOST_TEST(made.count(entry.path()) == 1u, entry.path() << " is made no more");
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(roles_suite)

BOOST_AUTO_TEST_CASE(the_boot_servers_of_the_examples_have_the_golden_files) {
  for (const std::string lab : {"classroom", "campus", "roots"}) {
    compare_with_golden(bundle_of(with_few_guests(example(lab)), "server"), kGolden / lab / "server");
  }
}

BOOST_AUTO_TEST_CASE(
    beside_another_dhcp_server_a_boot_server_has_services_of_their_own_that_give_no_addresses) {
  LabPlan plan = with_few_guests(plan_of("lab: proxy\nmachines:\n  server: {role: boot-server}\n"));
  const RoleBundle alone = bundle_of(plan, "server");
  plan.uplink = plan_uplink(plan, {.interface = "eth1", .mode = "proxy"}, {0, 0x1b, 0x21, 1, 2, 3}).value();
  const RoleBundle bundle = bundle_of(plan, "server");
  compare_with_golden(bundle, kGolden / "proxy" / "server");
  // What serves the lab is as it was.
  for (const RoleFile& file : alone.files) {
    if (!file.path.ends_with("/start")) BOOST_TEST(bundle.find(file.path)->content == file.content);
  }
  plan.uplink->proxy->address = "192.168.7.2/24";
  const std::string stated = content(bundle_of(plan, "server"), "uplink");
  BOOST_TEST(has(stated, "\nip address add 192.168.7.2/24 broadcast + dev uplink || "));
  BOOST_TEST(!has(stated, "udhcpc"));
  plan.uplink = plan_uplink(plan, {.interface = "eth1"}, {0, 0x1b, 0x21, 1, 2, 3}).value();
  BOOST_TEST(bundle_of(plan, "server").files.size() == alone.files.size());
}

BOOST_AUTO_TEST_CASE(a_boot_server_of_several_vlans_has_an_interface_range_and_script_for_each) {
  const RoleBundle bundle = bundle_of(campus(), "server");
  const std::string start = content(bundle, "start"), dnsmasq = content(bundle, "dnsmasq.conf");
  BOOST_TEST(has(start, "link add link $nic name vlan10 type vlan id 10\n"));
  BOOST_TEST(has(start, "address add 10.78.0.1/16 broadcast + dev vlan10\n"));
  BOOST_TEST(has(start, "address add 10.79.0.1/16 broadcast + dev vlan20\n"));
  BOOST_TEST(has(dnsmasq, "\ninterface=vlan10\ninterface=vlan20\n"));
  BOOST_TEST(
      has(dnsmasq, "dhcp-range=set:vlan20,10.79.252.0,10.79.255.254,255.255.0.0,10.79.255.255,infinite\n"));
  BOOST_TEST(has(dnsmasq, "dhcp-boot=tag:vlan20,tag:ipxe,http://10.79.0.1/boot.ipxe,,10.79.0.1\n"));
  BOOST_TEST(has(content(bundle, "lighttpd.conf"), "$SERVER[\"socket\"] == \"10.79.0.1:80\" { }\n"));
  BOOST_TEST(has(content(bundle, "router.conf"), "dhcp-range=fd52:6f6f:6b65:20::,ra-only\n"));
  BOOST_TEST(has(content(bundle, "names"), "10.78.0.1 server\n10.79.0.1 server\n10.78.1.1 s1\n"));
}

BOOST_AUTO_TEST_CASE(a_client_needs_no_files) {
  const RoleBundle bundle = bundle_of(classroom(), "n1");
  BOOST_TEST(bundle.roles == "client");
  BOOST_TEST(bundle.files.empty());
}

BOOST_AUTO_TEST_CASE(storage_services_are_for_the_machines_that_need_them) {
  const std::string plain = content(bundle_of(classroom(), "server"), "start");
  for (const char* program : {"tgt", "vblade", "nfs", "rpcbind"}) BOOST_TEST(!has(plain, program), program);
  const LabPlan plan = plan_of(
      "lab: x\nvlans:\n  a: {id: 10, subnet: 10.78.0.0/16}\n  b: {id: 20, subnet: 10.79.0.0/16}\nmachines:\n"
      "  s: {role: boot-server}\n  n: {role: client, vlan: a, root: aoe}\n  m: {role: client, vlan: b}\n");
  const RoleBundle bundle = bundle_of(plan, "s");
  const std::string start = content(bundle, "start"), dnsmasq = content(bundle, "dnsmasq.conf");
  BOOST_TEST(has(start, "\naoe 1 vlan10 /run/rookery/medium/rookery/root.squashfs\naoe 1 vlan20 "));
  BOOST_TEST(!has(start, "tgt"));
  BOOST_TEST(has(content(bundle, "machines"), "52:54:00:00:00:01,set:aoe,10.78.1.1,n\n"));
  BOOST_TEST(
      has(dnsmasq, "dhcp-boot=tag:vlan10,tag:ipxe,tag:aoe,http://10.78.0.1/boot-aoe.ipxe,,10.78.0.1\n"));
  BOOST_TEST(has(dnsmasq, "dhcp-boot=tag:vlan10,tag:ipxe,tag:!aoe,http://10.78.0.1/boot.ipxe,,10.78.0.1\n"));
}

BOOST_AUTO_TEST_CASE(a_root_by_iscsi_needs_an_image_that_has_an_initiator) {
  const LabPlan plan =
      plan_of("lab: x\nmachines:\n  s: {role: boot-server}\n  n: {role: client, root: iscsi}\n");
  const ImageFacts image{{{"stage2.cpio", std::string(64, 'b')}}};
  const auto bundle = role_files(plan, plan.boot_server(), image);
  BOOST_REQUIRE(!bundle);
  BOOST_TEST(bundle.error().message == "role boot-server: the image has no san.cpio");
}

BOOST_AUTO_TEST_CASE(machines_get_the_layers_of_their_roles_and_no_others) {
  const LabPlan plan = plan_of(
      "lab: x\nmachines:\n  s: {role: boot-server}\n  f: {roles: [nfs-server, distcc]}\n  n: {role: "
      "client}\n");
  const auto layers = bundle_of(plan, "f").layers;
  BOOST_REQUIRE(layers.size() == 2u);
  BOOST_TEST(layers[0].component.starts_with("role-nfs-server."));
  BOOST_TEST(layers[1].component.starts_with("role-distcc."));
  BOOST_TEST(layers[1].sha256 == std::string(64, 'd'));
  BOOST_TEST(layers[1].url == "nbd://10.77.0.1:10809/" + layers[1].component);
  BOOST_TEST(bundle_of(plan, "s").layers.size() == 1u);
  BOOST_TEST(bundle_of(plan, "n").layers.empty());
}

BOOST_AUTO_TEST_CASE(an_image_without_the_packages_of_a_role_or_with_older_ones_is_an_error) {
  const LabPlan plan = plan_of("lab: x\nmachines:\n  s: {role: boot-server}\n  f: {role: distcc}\n");
  ImageFacts image = facts();
  const auto layer = std::find_if(image.components.begin(), image.components.end(),
                                  [](const auto& each) { return each.name.starts_with("role-distcc."); });
  layer->name = images::layer_component("distcc", {"distcc"});
  const auto bundle = role_files(plan, *plan.find("f"), image);
  BOOST_REQUIRE(!bundle);
  BOOST_TEST(bundle.error().message.starts_with(
      "the image debian-12 has no packages of the role 'distcc' as its manifest has them (role-distcc."));
  BOOST_TEST(has(bundle.error().message, "'rookery image build --name debian-12 --role distcc'"));
  // A role of one's own is not known by its name.
  LabPlan own = plan;
  for (Role& role : own.roles) {
    if (role.name == "distcc") role.packages = {"hello"};
  }
  const auto refused = role_files(own, *own.find("f"), image);
  BOOST_REQUIRE(!refused);
  BOOST_TEST(has(refused.error().message, "--role FOLDER-OF-THE-ROLE'"));
}

BOOST_AUTO_TEST_CASE(the_same_plan_gives_the_same_files) {
  const RoleBundle one = bundle_of(classroom(), "server"), two = bundle_of(classroom(), "server");
  BOOST_REQUIRE(one.files.size() == two.files.size());
  for (std::size_t i = 0; i < one.files.size(); ++i) {
    BOOST_TEST(one.files[i].content == two.files[i].content);
    if (i > 0) BOOST_TEST((one.files[i - 1].path < one.files[i].path));
  }
}

BOOST_AUTO_TEST_CASE(every_client_is_a_known_host_and_the_server_is_none) {
  const std::string machines = content(bundle_of(classroom(), "server"), "machines");
  BOOST_TEST(std::count(machines.begin(), machines.end(), '\n') == 20);
  BOOST_TEST(has(machines, "52:54:00:00:00:14,10.77.1.20,n20\n"));
  BOOST_TEST(!has(machines, "server"));
}

BOOST_AUTO_TEST_CASE(guests_have_names_by_their_addresses) {
  const RoleBundle bundle = bundle_of(classroom(), "server");
  BOOST_TEST(has(content(bundle, "names"), "10.77.252.0 guest-1\n10.77.252.1 guest-2\n"));
  BOOST_TEST(has(content(bundle, "names"), "10.77.255.254 guest-1023\n"));
  BOOST_TEST(has(content(bundle, "dnsmasq.conf"),
                 "dhcp-range=10.77.252.0,10.77.255.254,255.255.0.0,10.77.255.255,infinite\n"));
}

BOOST_AUTO_TEST_CASE(there_is_a_lease_for_every_machine_and_guest) {
  const LabPlan plan =
      plan_of("lab: big\nmachines:\n  s: {role: boot-server}\n  n: {role: client, count: 4000}\n");
  BOOST_TEST(has(content(bundle_of(plan, "s"), "dnsmasq.conf"), "dhcp-lease-max=5024\n"));
}

BOOST_AUTO_TEST_CASE(the_server_knows_its_data_nic_by_its_mac_wherever_it_stands_in_the_file) {
  const LabPlan plan =
      plan_of("lab: late\nmachines:\n  n: {role: client, count: 5}\n  s: {role: boot-server}\n");
  const std::string start = content(bundle_of(plan, "s"), "start");
  BOOST_TEST(has(start, "\"$mac\" = 52:54:00:00:00:05 ]"));
  BOOST_TEST(has(start, "ip address add 10.77.0.1/16 "));
  BOOST_TEST(has(start, "tune kernel/hostname s\n"));
}

BOOST_AUTO_TEST_CASE(the_script_names_no_machine_address_or_server) {
  const std::string script = content(bundle_of(classroom(), "server"), "public/boot.ipxe");
  BOOST_TEST(script.starts_with("#!ipxe\n"));
  BOOST_TEST(!has(script, "10.77."));
  BOOST_TEST(!has(script, "n1"));
  BOOST_TEST(has(script, "rookery.initrd.sha256=" + std::string(64, 'b') + "," + std::string(64, 'c') + " "));
}

BOOST_AUTO_TEST_CASE(an_image_without_a_kernel_for_firmware_still_boots_user_mode_linux) {
  const ImageFacts image = image_with({{"stage2.cpio", std::string(64, 'b')}});
  const std::string script = content(bundle_of(classroom(), "server", image), "public/boot.ipxe");
  BOOST_TEST(!has(script, "\nkernel "));
  BOOST_TEST(has(script, "echo Rookery: this image has no kernel for ${platform}\ngoto failed\n:uml\n"));
  BOOST_TEST(has(script, "boot stage2.cpio || goto failed\n"));
}

BOOST_AUTO_TEST_CASE(an_image_without_a_second_stage_or_its_digest_is_an_error) {
  const LabPlan plan = classroom();
  for (const ImageFacts& image : {ImageFacts{}, ImageFacts{{{"stage2.cpio", "abc"}}},
                                  ImageFacts{{{"stage2.cpio", std::string(63, 'b') + "\n"}}}}) {
    auto bundle = role_files(plan, plan.boot_server(), image);
    BOOST_REQUIRE(!bundle);
    BOOST_TEST(bundle.error().message.starts_with("role boot-server: the image"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
