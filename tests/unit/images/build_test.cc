// What goes on around an image's build: that it says what it does, what it leaves, and what it knows of its
// age.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/file.h"
#include "images/make/leftovers.h"
#include "images/make/own_roles.h"
#include "images/make/phases.h"
#include "images/store/system_age.h"

using namespace rookery;
using namespace rookery::images;

namespace fs = std::filesystem;

namespace {

struct Folder {
  TemporaryFolder folder = TemporaryFolder::make("/tmp", "rookery-test-").value();

  fs::path path(const std::string& name) const { return folder.path() / name; }
  void file(const std::string& name, int used = 0) const {
    BOOST_REQUIRE(write_file(path(name), "x"));
    fs::last_write_time(path(name), fs::file_time_type{} + std::chrono::hours(used));
  }
  void tree(const std::string& name) const {
    fs::create_directories(path(name) / "root");
    BOOST_REQUIRE(write_file(path(name) / "root" / "file", "x"));
  }
  std::string names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder.path())) all.push_back(entry.path().filename());
    std::sort(all.begin(), all.end());
    std::string text;
    for (const std::string& name : all) text += name + " ";
    return text;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(image_build, Folder)

BOOST_AUTO_TEST_CASE(work_folders_of_killed_builds_go_and_nothing_else) {
  for (const char* name : {"work-Ab12", "system-Cd34", "root-0f"}) tree(name);
  for (const char* name : {"system-0f.tar.zst", "system-0f.sha256", "layer-0f", "lock", "work-file"})
    file(name);
  fs::create_directory_symlink(path("root-0f"), path("work-link"));
  remove_work_folders(folder.path());
  BOOST_TEST(names() == "layer-0f lock root-0f system-0f.sha256 system-0f.tar.zst work-file work-link ");
  BOOST_TEST(fs::exists(path("root-0f") / "root" / "file"));
  remove_work_folders(path("none"));
}

BOOST_AUTO_TEST_CASE(systems_go_but_this_one_and_the_one_that_was_used_last_before_it) {
  int used = 0;
  for (const char* name : {"system-a", "system-c", "system-b", "system-now"}) {
    file(std::string(name) + ".tar.zst", 100 - used);
    file(std::string(name) + ".sha256", ++used);
  }
  file("system-half.tar.zst", 200);
  tree("system-work");
  prune_systems(folder.path(), "system-now");
  BOOST_TEST(names() == "system-b.sha256 system-b.tar.zst system-now.sha256 system-now.tar.zst system-work ");
}

BOOST_AUTO_TEST_CASE(an_image_remembers_the_packages_of_roles_of_ones_own) {
  BOOST_TEST(read_own_roles(path("none")).empty());
  BOOST_REQUIRE(write_own_roles(path("roles"), {{"web", {"lighttpd", "libstdc++6"}}, {"db", {"redis"}}}));
  const auto roles = read_own_roles(path("roles"));
  BOOST_REQUIRE(roles.size() == 2u);
  BOOST_TEST(roles[0].role == "web");
  BOOST_TEST(roles[0].packages == (std::vector<std::string>{"lighttpd", "libstdc++6"}),
             boost::test_tools::per_element());
  BOOST_TEST(roles[1].role == "db");
  // Each line that is none of ours counts for nothing.
  for (const char* bad : {"web", "../web lighttpd", "web -o=x", "web a;b", ""}) {
    BOOST_REQUIRE(write_file(path("roles"), std::string(bad) + "\ndb redis\n"));
    BOOST_TEST(read_own_roles(path("roles")).size() == 1u, bad);
  }
}

BOOST_AUTO_TEST_CASE(a_long_step_says_that_it_goes_on) {
  std::mutex mutex;
  std::condition_variable said;
  std::vector<std::string> lines;
  Phases phases(
      [&](std::string_view line) {
        const std::lock_guard lock(mutex);
        lines.emplace_back(line);
        said.notify_all();
      },
      std::chrono::milliseconds(1));
  const auto wait_for = [&](const std::string& text) {
    std::unique_lock lock(mutex);
    said.wait(lock, [&] { return !lines.empty() && lines.back() == text; });
  };
  const Phases::Running kernel(phases, "kernel");
  wait_for("still at work: kernel (0 s)");
  {
    const Phases::Running layer(phases, "layer");
    wait_for("still at work: kernel (0 s), layer (0 s)");
  }
  phases.line("something else");
  wait_for("still at work: kernel (0 s)");
}

BOOST_AUTO_TEST_CASE(the_age_of_a_system_is_told_and_an_old_one_is_to_be_made_anew) {
  constexpr std::int64_t kDay = 24 * 60 * 60, kMade = 1769817600;  // 2026-01-31
  StoredImage image;
  image.name = "web";
  Manifest manifest;
  manifest.created = kMade - 30 * kDay;
  BOOST_TEST(age_in_words(image, manifest, kMade) == "of 2026-01-01, 30 days old");  // at least
  image.system_made = kMade;
  BOOST_TEST(age_in_words(image, manifest, kMade + kDay) == "of 2026-01-31, 1 day old");
  BOOST_TEST(age_in_words(image, manifest, kMade - kDay) == "of 2026-01-31, 0 days old");
  BOOST_TEST(age_advice(image, manifest, kMade + 60 * kDay) == "");
  BOOST_TEST(
      age_advice(image, manifest, kMade + 61 * kDay) ==
      "the Debian in the image web is 61 days old and lacks the security fixes since; 'rookery image build "
      "--name web --refresh' makes it anew");
}

BOOST_AUTO_TEST_SUITE_END()
