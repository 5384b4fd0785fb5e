// Role manifests, good and bad; what a lab makes of what roles need and provide; the files that machines get.
#include "vboot/lab/role.h"

#include <boost/test/unit_test.hpp>

#include "vboot/lab/lab_plan.h"

using namespace rookery;
using namespace rookery::vboot;

namespace {

Result<std::optional<Role>> in_a_circle(const std::string&, const std::string& name) {
  Role role;
  role.name = name;
  if (name == "hen") role.needs = {"egg"}, role.provides = {"hen"};
  if (name == "egg") role.needs = {"hen"}, role.provides = {"egg"};
  return std::optional<Role>(role);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(role_suite)

BOOST_AUTO_TEST_CASE(reads_every_key_of_a_manifest) {
  const auto role = parse_role(
      "role: web\nneeds: [home]\nprovides: [http]\npackages: [lighttpd, libstdc++6]\nkernel: storage\n"
      "files:\n  etc/web.conf: web.conf\nstart: start\n",
      "role.yaml");
  BOOST_REQUIRE_MESSAGE(role, role.error().message);
  BOOST_TEST(role->name == "web");
  BOOST_TEST((role->needs == std::vector<std::string>{"home"}));
  BOOST_TEST((role->provides == std::vector<std::string>{"http"}));
  BOOST_TEST((role->packages == std::vector<std::string>{"lighttpd", "libstdc++6"}));
  BOOST_TEST(role->storage_kernel);
  BOOST_REQUIRE(role->files.size() == 1u);
  BOOST_TEST(role->files[0].path == "etc/web.conf");
  BOOST_TEST(role->start->from == "start");
}

BOOST_AUTO_TEST_CASE(a_start_must_be_a_script_and_all_files_must_be_small) {
  const auto role = [](std::string content) {
    return read_role("role: a\nstart: s\n", "role.yaml",
                     [&](const std::string&) -> Result<std::string> { return content; });
  };
  BOOST_TEST(role("#!/bin/sh\n").value().start->content == "#!/bin/sh\n");
  BOOST_TEST(role("echo").error().message == "role.yaml: s must be a script that begins with '#!'");
  BOOST_TEST(role("#!" + std::string(RoleLimits::kAll.count, 'x'))
                 .error()
                 .message.starts_with("role.yaml: the role's files are larger than 512 KiB"));
}

BOOST_AUTO_TEST_CASE(every_shipped_role_can_be_read) {
  for (const std::string_view name : shipped_role_names()) {
    const auto role = shipped_role("", std::string(name));
    BOOST_REQUIRE_MESSAGE(role, role.error().message);
    BOOST_TEST(role->has_value());
  }
}

BOOST_AUTO_TEST_CASE(who_needs_a_service_starts_after_who_provides_it) {
  const auto lab = parse_lab(
      "lab: x\nmachines:\n  s: {role: boot-server}\n  n: {role: nfs-client, count: 2}\n  files: {role: "
      "nfs-server}\n"
      "  c: {role: client, count: 2}\n",
      "lab.yaml");
  BOOST_REQUIRE_MESSAGE(lab, lab.error().message);
  const auto plan = plan_lab(*lab, {});
  BOOST_REQUIRE(plan);
  BOOST_TEST(plan->find("n2")->turn == 1u);
  BOOST_TEST(plan->find("files")->turn == 0u);
  BOOST_TEST(plan->find("c1")->turn == 0u);
  BOOST_TEST(plan->find("n1")->storage_kernel);
  BOOST_TEST(!plan->find("c1")->storage_kernel);
}

BOOST_AUTO_TEST_CASE(groups_that_need_each_other_are_refused) {
  const auto lab =
      parse_lab("lab: x\nmachines:\n  s: {role: boot-server}\n  a: {role: hen}\n  b: {role: egg}\n",
                "lab.yaml", {.roles = in_a_circle});
  BOOST_REQUIRE(!lab);
  BOOST_TEST(lab.error().message ==
             "lab.yaml:4:13: these groups need each other in a circle, and none could start first: a needs b "
             "needs a");
}

BOOST_AUTO_TEST_CASE(peers_do_not_wait_for_each_other) {
  const auto peer = [](const std::string&, const std::string& name) -> Result<std::optional<Role>> {
    Role role;
    role.name = name;
    if (name == "peer") role.needs = role.provides = {"peer"};
    return std::optional<Role>(role);
  };
  const auto lab =
      parse_lab("lab: x\nmachines:\n  s: {role: boot-server}\n  a: {role: peer}\n  b: {role: peer}\n",
                "lab.yaml", {.roles = peer});
  BOOST_REQUIRE_MESSAGE(lab, lab.error().message);
  BOOST_TEST(lab->groups[1].turn == 0u);
  BOOST_TEST(lab->groups[2].turn == 0u);
}

BOOST_AUTO_TEST_CASE(a_role_needs_the_management_nic_for_what_it_brings) {
  const auto lab =
      parse_lab("lab: x\nmachines:\n  s: {role: boot-server}\n  f: {role: nfs-server, management: false}\n",
                "lab.yaml");
  BOOST_REQUIRE(!lab);
  BOOST_TEST(lab.error().message.starts_with(
      "lab.yaml:4:13: what role 'nfs-server' brings comes by the management NIC"));
}

BOOST_AUTO_TEST_SUITE_END()
