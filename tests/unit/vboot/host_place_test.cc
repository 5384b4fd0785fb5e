#include "vboot/run/session/host_place.h"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>

#include "base/unix_socket.h"
#include "vboot/control/client.h"

using namespace rookery;
using namespace rookery::vboot;
namespace fs = std::filesystem;

namespace {

// Two runtime folders of one user, and the one place for memory files that a host has.
struct Host {
  TemporaryFolder folder = TemporaryFolder::make(fs::temp_directory_path(), "rookery-place-").value();
  fs::path first = folder.path() / "1" / "rookery", second = folder.path() / "2" / "rookery";
  fs::path files = folder.path() / "shm";
  Host() {
    for (const fs::path& path : {first, second, files}) fs::create_directories(path);
  }
  std::optional<HostPlace> claim(const fs::path& runtime, std::string_view name) {
    return HostPlace::claim(runtime, name, files).value();
  }
};

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(place_suite)

BOOST_AUTO_TEST_CASE(one_name_has_one_place_whichever_runtime_folder_it_is_asked_for_in) {
  Host host;
  {
    const auto lab = host.claim(host.first, "lab");
    BOOST_REQUIRE(lab.has_value());
    std::ofstream(lab->memory_folder() / "memory") << "guests' memory";
    BOOST_TEST(!host.claim(host.first, "lab").has_value());
    BOOST_TEST(!host.claim(host.second, "lab").has_value());
    BOOST_TEST(fs::exists(lab->memory_folder() / "memory"));
    BOOST_TEST(entries(host.second) == 0u);  // who is refused leaves nothing
    BOOST_TEST(host.claim(host.second, "other").has_value());
  }
  BOOST_TEST(entries(host.first) == 0u);
  BOOST_TEST(entries(host.files) == 0u);
  BOOST_TEST(host.claim(host.second, "lab").has_value());
}

BOOST_AUTO_TEST_CASE(who_would_bring_up_a_lab_that_is_up_is_told_where_it_is) {
  Host host;
  EventLoop loop(std::make_unique<WallPacer>());
  const auto lab = HostPlace::claim_for(loop, host.first, "lab", host.files);
  BOOST_REQUIRE(lab.has_value());
  const auto socket = listen_unix(control_socket_path(host.first, "lab"));
  BOOST_REQUIRE(socket.has_value());
  const auto why = [&](const fs::path& runtime) {
    return HostPlace::claim_for(loop, runtime, "lab", host.files).error().message;
  };
  BOOST_TEST(why(host.first) == "the lab lab is up already; take it down with: rookery down --lab lab");
  BOOST_TEST(why(host.second) ==
             "the lab lab is up already, in another runtime folder; take it down with: XDG_RUNTIME_DIR=" +
                 host.first.parent_path().string() + " rookery down --lab lab");
  BOOST_TEST(fs::exists(lab->memory_folder()));
}

BOOST_AUTO_TEST_CASE(what_was_left_is_removed_by_who_comes_next) {
  Host host;
  fs::create_directory(host.first / "lab");
  fs::permissions(host.first / "lab", fs::perms::owner_all);
  std::ofstream(host.first / "lab" / "control.sock") << "";
  const auto lab = host.claim(host.first, "lab");
  BOOST_REQUIRE(lab.has_value());
  BOOST_TEST(entries(lab->folder()) == 0u);
  BOOST_TEST(home_of(lab->memory_folder()).value() == lab->folder());
}

BOOST_AUTO_TEST_CASE(runs_of_one_number_stand_side_by_side) {
  Host host;
  const auto one = HostPlace::claim_any(host.first, "run-7", host.files);
  const auto two = HostPlace::claim_any(host.first, "run-7", host.files);
  const auto three = HostPlace::claim_any(host.second, "run-7", host.files);
  BOOST_REQUIRE((one && two && three));
  BOOST_TEST(one->folder().filename() == "run-7");
  BOOST_TEST(two->folder().filename() == "run-7-2");
  BOOST_TEST(three->folder() == host.second / "run-7-3");
}

BOOST_AUTO_TEST_CASE(the_loss_of_its_folder_or_its_socket_is_told) {
  for (const std::string what : {"the socket", "the folder", "the runtime folder", "another name"}) {
    Host host;
    EventLoop loop(std::make_unique<WallPacer>());
    auto lab = host.claim(host.first, "lab");
    std::ofstream(lab->folder() / "control.sock") << "";
    int lost = 0;
    BOOST_REQUIRE(lab->watch(loop, "control.sock", [&] { ++lost; }).has_value());
    fs::create_directory(host.first / "other");
    fs::remove(host.first / "other");  // of no concern
    loop.run_until([] { return false; }, std::chrono::milliseconds(1));
    BOOST_TEST(lost == 0, what);
    if (what == "the socket") fs::remove(lab->folder() / "control.sock");
    if (what == "the folder") fs::remove_all(lab->folder());
    if (what == "the runtime folder") fs::remove_all(host.first);
    if (what == "another name") fs::rename(lab->folder(), host.first / "elsewhere");
    BOOST_TEST(loop.run_until([&] { return lost > 0; }, std::chrono::seconds(20)), what);
    loop.run_until([] { return false; }, std::chrono::milliseconds(1));
    BOOST_TEST(lost == 1, what);
  }
}

BOOST_AUTO_TEST_CASE(a_lab_in_another_runtime_folder_is_found_by_its_memory) {
  Host host;
  const auto lab = host.claim(host.first, "lab");
  const auto socket = listen_unix(control_socket_path(host.first, "lab"));
  BOOST_REQUIRE(socket.has_value());
  BOOST_TEST(homes_elsewhere(host.first, host.files).empty());
  BOOST_TEST((homes_elsewhere(host.second, host.files) == std::vector<fs::path>{host.first / "lab"}));
  const std::string how =
      "XDG_RUNTIME_DIR=" + host.first.parent_path().string() + " rookery COMMAND --lab lab";
  const auto why = [&](std::optional<std::string_view> name) {
    return ControlClient::connect(host.second, name, host.files).error().message;
  };
  BOOST_TEST(why("lab") == "lab 'lab' runs in another runtime folder; speak to it with: " + how);
  BOOST_TEST(why(std::nullopt) ==
             "no lab is running here; lab 'lab' runs in another runtime folder; speak to it with: " + how);
  BOOST_TEST(why("nolab") == "lab 'nolab' is not running, and no other is");
}

BOOST_AUTO_TEST_CASE(what_nobody_claims_is_cleaned_and_what_lives_is_not) {
  Host host;
  const auto lab = host.claim(host.first, "lives");
  // Two whose supervisors and janitors were killed; the runtime folder of the second is gone.
  for (const char* name : {"left", "logged-out"}) {
    auto claimed = claim_folder(memory_folder_path(name, host.files));
    BOOST_REQUIRE(write_home((*claimed)->path, host.second / name).has_value());
  }
  BOOST_REQUIRE(claim_folder(host.second / "left").value().has_value());
  BOOST_REQUIRE(claim_folder(host.first / "old").value().has_value());
  fs::create_directory(host.first / ".lv");  // no lab's
  const std::vector<std::string> removed = remove_left_places(host.first, host.files).value();
  std::vector<std::string> wanted{host.first / "old", host.second / "left",
                                  memory_folder_path("left", host.files),
                                  memory_folder_path("logged-out", host.files)};
  std::sort(wanted.begin(), wanted.end());
  BOOST_TEST(removed == wanted, boost::test_tools::per_element());
  for (const std::string& path : wanted) BOOST_TEST(!fs::exists(path), path);
  BOOST_TEST(fs::exists(lab->memory_folder()));
  BOOST_TEST(fs::exists(lab->folder()));
  BOOST_TEST(fs::exists(host.first / ".lv"));
}

BOOST_AUTO_TEST_SUITE_END()
