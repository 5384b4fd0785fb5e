// The lab files in lab_files/: good/ ones make a plan; bad/ and bad_for_the_parser/ ones make the errors that
// their lines "# expect: …" say, in that order. schema_test.py reads the same files with
// docs/schema/lab.schema.json: what is in bad/ the schema refuses too, what is in bad_for_the_parser/ is
// beyond it. So it is with the manifests in role_files/.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "vboot/lab/lab_plan.h"

using namespace rookery;
using namespace rookery::vboot;

namespace {

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  BOOST_TEST(!files.empty());
  return files;
}

Result<LabPlan> plan_of(const std::filesystem::path& file) {
  const auto text = read_file(file);
  BOOST_REQUIRE(text);
  auto lab = parse_lab(*text, file.filename().string());
  if (!lab) return tl::unexpected(lab.error());
  return plan_lab(*lab, {});
}

std::string expected_in(const std::filesystem::path& file) {
  const auto text = read_file(file);
  BOOST_REQUIRE(text);
  constexpr std::string_view kMark = "# expect: ";
  std::string expected, line;
  for (std::istringstream lines(*text); std::getline(lines, line);) {
    if (!line.starts_with(kMark)) continue;
    expected += (expected.empty() ? "" : "\n") + file.filename().string() + line.substr(kMark.size());
  }
  return expected;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lab_files_suite)

BOOST_AUTO_TEST_CASE(good_files_and_examples_make_a_plan) {
  for (const char* folder : {"tests/unit/vboot/lab_files/good", "examples"}) {
    for (const auto& file : files_in(folder)) {
      if (read_file(file)->find("\nscenario:") != std::string::npos)
        continue;  // scenario_files_test.cc has those
      const auto plan = plan_of(file);
      BOOST_TEST(plan.has_value(), (plan ? "" : plan.error().message));
    }
  }
}

// A whole lab has a boot server; some pages leave the name out.
BOOST_AUTO_TEST_CASE(the_labs_of_the_manual_make_a_plan) {
  constexpr std::string_view kOpen = "\n```yaml\n", kClose = "\n```\n";
  const auto beside = [](const std::string& path) -> Result<std::string> {
    if (path == "hosts.csv")
      return "name,mac,role,address\ndesk-1,00:16:3e:00:00:01,client,10.77.9.1\ndesk-2,,,\n";
    return "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK3gwzi0O7IrjcyPbekjOteTk34l6xk+1xFR5IagA0Kz me\n";
  };
  int labs = 0;
  for (const auto& page : std::filesystem::recursive_directory_iterator("docs")) {
    if (page.path().extension() != ".md") continue;
    const std::string text = read_file(page.path()).value();
    for (std::size_t at = 0; (at = text.find(kOpen, at)) != std::string::npos;) {
      at += kOpen.size();
      const std::size_t end = text.find(kClose, at);
      BOOST_REQUIRE(end != std::string::npos);
      std::string block = text.substr(at, end - at + 1);
      if (block.find("boot-server") == std::string::npos || block.starts_with("scenario:"))
        continue;  // scenario_files_test.cc has those
      if (!block.starts_with("lab:")) block = "lab: manual\n" + block;
      const auto lab = parse_lab(block, page.path().string(), {.read = beside});
      BOOST_REQUIRE_MESSAGE(lab, lab.error().message);
      const auto plan = plan_lab(*lab, {});
      BOOST_TEST(plan.has_value(), (plan ? "" : plan.error().message));
      ++labs;
    }
  }
  BOOST_TEST(labs >= 10);
}

BOOST_AUTO_TEST_CASE(bad_files_make_the_errors_that_they_expect) {
  for (const char* folder :
       {"tests/unit/vboot/lab_files/bad", "tests/unit/vboot/lab_files/bad_for_the_parser"}) {
    for (const auto& file : files_in(folder)) {
      if (read_file(file)->find("\nscenario:") != std::string::npos)
        continue;  // scenario_files_test.cc has those
      const auto plan = plan_of(file);
      BOOST_TEST(!plan, file);
      if (!plan) BOOST_TEST(plan.error().message == expected_in(file));
    }
  }
}

BOOST_AUTO_TEST_CASE(manifests_of_roles_are_read_or_make_the_errors_that_they_expect) {
  const auto role_of = [](const std::filesystem::path& file) {
    return parse_role(read_file(file).value(), file.filename().string());
  };
  const std::filesystem::path folder = "tests/unit/vboot/role_files";
  for (const auto& file : files_in(folder / "good")) {
    const auto role = role_of(file);
    BOOST_TEST(role.has_value(), (role ? "" : role.error().message));
  }
  for (const char* bad : {"bad", "bad_for_the_parser"}) {
    for (const auto& file : files_in(folder / bad)) {
      const auto role = role_of(file);
      BOOST_TEST(!role, file);
      if (!role) BOOST_TEST(role.error().message == expected_in(file));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
