// The first rule of the house (docs/architecture.md): who may include whom. Reads the sources.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>

namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::set<std::string>> kMayInclude{
    {"base", {"base"}},
    {"netsim", {"netsim", "base"}},
    {"disks", {"disks", "base"}},
    {"backends", {"backends", "base"}},
    {"guest", {"guest", "base"}},
    {"images", {"images", "guest", "base"}},
    {"vboot", {"vboot", "images", "guest", "backends", "disks", "netsim", "base"}},
};
const std::set<std::string> kBackends{"fake", "uml", "qemu", "libvirt", "xen"};

// The rooms of vboot: a plan knows no run, and what runs a lab does not know who asks for it.
const std::map<std::string, std::set<std::string>> kRoomMayInclude{
    {"lab", {}},
    {"control", {"lab"}},
    {"faults", {"lab"}},
    {"roles", {"lab"}},
    {"watch", {}},
    {"trace", {}},
    {"scenario/plan", {"lab", "faults", "watch"}},
    {"run/admission", {"lab"}},
    {"run/network", {"lab", "control", "faults", "watch"}},
    {"run/machine", {"lab", "control", "faults", "watch", "roles", "run/network"}},
    {"run/session",
     {"lab", "control", "faults", "watch", "roles", "run/admission", "run/network", "run/machine"}},
    {"run/control", {"lab", "control", "faults", "watch", "run/network", "run/machine", "run/session"}},
    {"report", {"lab", "control", "faults", "watch", "run/admission", "run/session"}},
    {"scenario", {"lab", "control", "faults", "watch", "trace", "run/session", "scenario/plan"}},
    {"cli",
     {"lab", "control", "faults", "watch", "trace", "roles", "report", "scenario", "scenario/plan",
      "run/admission", "run/network", "run/machine", "run/session", "run/control"}},
};

// "run/machine" of "vboot/run/machine/node.h".
std::string room_of_vboot(const fs::path& path) {
  auto part = std::next(path.begin());
  std::string room = part->string();
  const std::string next = std::next(part)->string();
  if (room == "run" || (room == "scenario" && next == "plan")) room += "/" + next;
  return room;
}

struct Include {
  fs::path file;
  std::string target;
};

std::vector<Include> includes_of(const std::string& room) {
  std::vector<Include> includes;
  const std::regex pattern(R"re(^\s*#\s*include\s*"([^"]+)")re");
  for (const auto& entry : fs::recursive_directory_iterator(room)) {
    if (entry.path().extension() != ".h" && entry.path().extension() != ".cc") continue;
    std::ifstream in(entry.path());
    std::smatch match;
    for (std::string line; std::getline(in, line);) {
      if (std::regex_search(line, match, pattern)) includes.push_back({entry.path(), match[1]});
    }
  }
  return includes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(house)

BOOST_AUTO_TEST_CASE(a_room_includes_only_what_the_house_allows) {
  for (const auto& [room, allowed] : kMayInclude) {
    const auto includes = includes_of(room);
    BOOST_TEST(!includes.empty());
    for (const Include& include : includes) {
      const std::string target = include.target.substr(0, include.target.find('/'));
      BOOST_TEST(allowed.count(target) == 1u, include.file.string() << " may not include " << include.target);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_room_of_vboot_includes_only_what_the_house_allows) {
  std::set<std::string> seen;
  for (const Include& include : includes_of("vboot")) {
    if (include.target.rfind("vboot/", 0) != 0) continue;
    const std::string from = room_of_vboot(include.file), to = room_of_vboot(include.target);
    seen.insert(from);
    const auto allowed = kRoomMayInclude.find(from);
    BOOST_REQUIRE_MESSAGE(allowed != kRoomMayInclude.end(),
                          from << " is a room that this test does not know");
    BOOST_TEST((from == to || allowed->second.count(to) == 1u), include.file.string()
                                                                    << " may not include " << include.target);
  }
  for (const auto& [room, allowed] : kRoomMayInclude)
    BOOST_TEST(seen.count(room) == 1u, "there is no room " << room);
}

BOOST_AUTO_TEST_CASE(a_backend_never_includes_another_and_only_main_names_one) {
  for (const std::string room : {"backends", "vboot"}) {
    for (const Include& include : includes_of(room)) {
      const fs::path target(include.target);
      if (*target.begin() != "backends") continue;
      const std::string backend = *std::next(target.begin());
      if (kBackends.count(backend) == 0) continue;
      const std::string own = *std::next(include.file.begin());
      const bool allowed =
          (room == "backends" && own == backend) || include.file == fs::path("vboot/cli/main.cc");
      BOOST_TEST(allowed, include.file.string() << " may not include " << include.target);
    }
  }
}

BOOST_AUTO_TEST_CASE(libqmp_knows_nothing_of_rookery) {
  // It is used as any library, by <qmp/qmp.h>, and could be taken out as it is.
  BOOST_TEST(includes_of("backends/qemu/qmp").empty());
}

BOOST_AUTO_TEST_CASE(nobody_but_the_one_json_layer_and_libqmp_includes_json_c) {
  const std::regex pattern(R"(^\s*#\s*include\s*[<"](json-c/|json\.h))");
  std::set<std::string> rooms;
  for (const auto& [room, allowed] : kMayInclude) {
    for (const auto& entry : fs::recursive_directory_iterator(room)) {
      if (entry.path().extension() != ".h" && entry.path().extension() != ".cc") continue;
      const std::string name = entry.path().string();
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) {
        if (!std::regex_search(line, pattern)) continue;
        const std::string owner = name.rfind("base/json/", 0) == 0           ? "base/json"
                                  : name.rfind("backends/qemu/qmp/", 0) == 0 ? "libqmp"
                                                                             : name;
        rooms.insert(owner);
      }
    }
  }
  for (const std::string& room : rooms)
    BOOST_TEST((room == "base/json" || room == "libqmp"), room << " may not include json-c");
  BOOST_TEST(rooms.size() == 2u);  // both are found, so the pattern finds what it is to find
}

BOOST_AUTO_TEST_CASE(what_runs_a_lab_prints_nothing) {
  // It is a library: what it has to say it says to its caller, by values and events.
  const std::regex pattern(R"(fmt::print|std::(cout|cerr|clog)|printf\s*\(|\bputs\s*\(|STD(OUT|ERR)_FILENO)");
  for (const auto& entry : fs::recursive_directory_iterator("vboot/run")) {
    const fs::path& path = entry.path();
    if (path.extension() != ".h" && path.extension() != ".cc") continue;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);)
      BOOST_TEST(!std::regex_search(line, pattern), path.string() << ": " << line);
  }
}

BOOST_AUTO_TEST_CASE(no_code_outside_base_reads_a_clock_or_sleeps) {
  // Blocking commands (the client's time limits, the image builder) are not on the loop and are listed here.
  const std::set<std::string> kBlocking{"vboot/control/client.cc", "backends/qemu/qmp/example/qmp_tell.cc"};
  const std::regex pattern(
      R"(clock_gettime|steady_clock|system_clock|sleep_for|\busleep\s*\(|\bnanosleep|std::random_device)");
  for (const std::string room : {"netsim", "disks", "backends", "guest", "images", "vboot"}) {
    for (const auto& entry : fs::recursive_directory_iterator(room)) {
      const fs::path& path = entry.path();
      if (path.extension() != ".h" && path.extension() != ".cc") continue;
      const std::string name = path.string();
      if (kBlocking.count(name) != 0 || name.rfind("guest/program/", 0) == 0)
        continue;  // runs in the machine
      std::ifstream in(path);
      for (std::string line; std::getline(in, line);) {
        const std::string code = line.substr(0, line.find("//"));
        BOOST_TEST(!std::regex_search(code, pattern), name << ": " << line);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(no_source_file_is_longer_than_450_lines) {
  for (const auto& [room, allowed] : kMayInclude) {
    for (const auto& entry : fs::recursive_directory_iterator(room)) {
      const fs::path& path = entry.path();
      if (path.extension() != ".h" && path.extension() != ".cc") continue;
      std::ifstream in(path);
      int lines = 0;
      for (std::string line; std::getline(in, line);) ++lines;
      BOOST_TEST(lines <= 450, path.string() << " has " << lines << " lines; make two rooms of it");
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
