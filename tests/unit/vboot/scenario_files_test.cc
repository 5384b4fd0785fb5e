// The scenario files in scenario_files/: good/ ones and the examples make a plan; bad/ and
// bad_for_the_parser/ ones make the errors that their lines "# expect: …" say. schema_test.py reads
// the same files with the schema.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "vboot/scenario/plan/scenario_plan.h"

namespace rookery::vboot {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  BOOST_TEST(!files.empty());
  return files;
}

Result<ScenarioPlan> plan_of(const fs::path& file, std::uint64_t seed) {
  const auto scenario = parse_scenario(read_file(file).value(), file.string(), beside(file.string()));
  if (!scenario) return tl::unexpected(scenario.error());
  const auto lab = lab_of(*scenario);
  if (!lab) return tl::unexpected(lab.error());
  return plan_scenario(*scenario, *lab, {std::nullopt, seed});
}

// The errors without the file's folder, so that they can stand in the file.
std::string errors_of(const fs::path& file) {
  const auto plan = plan_of(file, 1);
  if (plan) return {};
  std::string errors, line;
  for (std::istringstream lines(plan.error().message); std::getline(lines, line);) {
    BOOST_TEST(line.starts_with(file.string()));
    errors += "# expect: " + line.substr(file.string().size()) + "\n";
  }
  return errors;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(scenario_files)

BOOST_AUTO_TEST_CASE(good_files_and_examples_make_a_plan) {
  std::vector<fs::path> files = files_in("tests/unit/vboot/scenario_files/good");
  for (const auto& file : files_in("examples")) {
    if (read_file(file)->find("\nscenario:") != std::string::npos) files.push_back(file);
  }
  for (const auto& file : files) {
    const auto plan = plan_of(file, 7);
    BOOST_TEST(plan.has_value(), (plan ? "" : plan.error().message));
  }
}

// ROOKERY_UPDATE_GOLDEN=1 writes what is said now into the files, to be read before it is committed.
BOOST_AUTO_TEST_CASE(bad_files_are_refused_with_their_lines) {
  for (const char* folder :
       {"tests/unit/vboot/scenario_files/bad", "tests/unit/vboot/scenario_files/bad_for_the_parser"}) {
    for (const auto& file : files_in(folder)) {
      const std::string content = read_file(file).value();
      std::string expected, rest, line;
      for (std::istringstream lines(content); std::getline(lines, line);) {
        (line.starts_with("# expect: ") ? expected : rest) += line + "\n";
      }
      // The lines stand at the end, so that they do not count.
      const std::string errors = errors_of(file);
      BOOST_TEST(!errors.empty(), file.string() + " makes a plan");
      if (std::getenv("ROOKERY_UPDATE_GOLDEN") != nullptr) {
        BOOST_REQUIRE(write_file(file, rest + errors).has_value());
      } else {
        BOOST_TEST(errors == expected, file.string() + ":\n" + errors);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_examples_of_the_manual_make_a_plan) {
  const auto manual = read_file("docs/scenarios.md");
  BOOST_REQUIRE(manual.has_value());
  constexpr std::string_view kOpen = "```yaml\nscenario:";
  int examples = 0;
  for (std::size_t at = 0; (at = manual->find(kOpen, at)) != std::string::npos; ++examples) {
    at += 8;
    const std::string text = manual->substr(at, manual->find("\n```", at) - at + 1);
    const auto scenario = parse_scenario(text, "examples/of-the-manual.yaml");
    BOOST_REQUIRE_MESSAGE(scenario.has_value(), (scenario ? "" : scenario.error().message));
    const auto plan = plan_scenario(*scenario, lab_of(*scenario).value(), {});
    BOOST_TEST(plan.has_value(), (plan ? "" : plan.error().message));
  }
  BOOST_TEST(examples == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
