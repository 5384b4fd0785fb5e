// Names in archives are bytes, whatever the locale says of characters: packages have some in UTF-8, composed
// or not, and could have some in Latin-1.
#include <archive.h>
#include <archive_entry.h>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <clocale>
#include <set>

#include "base/file.h"
#include "images/make/layer.h"
#include "images/make/squashfs.h"
#include "images/make/tar_reader.h"
#include "tests/unit/images/tar_tools.h"

using namespace rookery;
using namespace rookery::images;

namespace data = boost::unit_test::data;
namespace fs = std::filesystem;

namespace {

const std::string kNames[] = {
    "F\xC5\x91tan\xC3\xBAs\xC3\xADtv\xC3\xA1ny.pem",  // UTF-8, as ca-certificates has one
    "e\xCC\x81.pem",                                  // UTF-8, an accent of its own: not to be composed
    "\xE9t\xE9.pem",                                  // Latin-1
    "\xC0\xAF\xFF.pem",                               // nothing at all
};

struct Names {
  TemporaryFolder folder = TemporaryFolder::make("/tmp", "rookery-test-").value();
  std::set<std::string> wanted;

  // A file of each name, a symbolic link to it with its name, and a hard link that comes after it.
  Names() {
    const fs::path tree = folder.path() / "tree" / "etc", later = folder.path() / "tree" / "usr";
    fs::create_directories(tree);
    fs::create_directories(later);
    for (const std::string& name : kNames) {
      BOOST_REQUIRE(write_file(tree / name, "certificate"));
      fs::create_symlink(name, tree / ("link-" + name));
      fs::create_hard_link(tree / name, later / name);
      wanted.insert(
          {"etc/" + name + "||", "etc/link-" + name + "|" + name + "|", "usr/" + name + "||etc/" + name});
    }
  }
  ~Names() { std::setlocale(LC_ALL, "C"); }

  // By GNU tar, as mmdebstrap does it, with the locale that it is given.
  fs::path packed(const std::string& format, const std::string& locale) const {
    fs::path path = folder.path() / ("tree-" + format + "-" + locale + ".tar");
    Command command{{"tar", "--format=" + format, "--sort=name", "-cf", path.string(), "."},
                    folder.path() / "tree"};
    command.environment["LC_ALL"] = locale;
    BOOST_REQUIRE(run_checked(command));
    return path;
  }
};

// "path|symbolic link|hard link" of each entry but folders.
std::set<std::string> entries(const fs::path& tar) {
  std::set<std::string> found;
  const auto text = [](const char* word) { return std::string(word != nullptr ? word : ""); };
  const auto read =
      for_each_entry(tar, [&](archive*, archive_entry* entry, const std::string& path) -> Status {
        if (archive_entry_filetype(entry) == AE_IFDIR) return {};
        const std::string hard = text(archive_entry_hardlink(entry));
        found.insert(path + "|" + text(archive_entry_symlink(entry)) + "|" +
                     (hard.starts_with("./") ? hard.substr(2) : hard));
        return {};
      });
  BOOST_REQUIRE_MESSAGE(read, read.error().message);
  return found;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(archive_names, Names)

BOOST_DATA_TEST_CASE(are_the_same_bytes_in_every_locale, data::make({"C", "C.UTF-8"}), locale) {
  for (const char* format : {"pax", "gnu"}) {
    for (const char* theirs : {"C", "C.UTF-8"}) {
      const fs::path tar = packed(format, theirs), layer = folder.path() / "layer.tar";
      BOOST_REQUIRE(std::setlocale(LC_ALL, locale) != nullptr);
      BOOST_TEST_CONTEXT(format << " by tar in " << theirs) {
        BOOST_TEST(entries(tar) == wanted, boost::test_tools::per_element());
        write_tar(folder.path() / "base.tar", {{"etc/hosts", 0644, ""}});
        const auto made =
            make_layer_tree("role-x.squashfs", folder.path() / "base.tar", tar, {}, kDate, layer);
        BOOST_REQUIRE_MESSAGE(made, made.error().message);
        std::set<std::string> packed_again = entries(layer);
        BOOST_TEST(packed_again.erase("etc/hosts||") == 1u);  // gone, by a whiteout
        BOOST_TEST(packed_again == wanted, boost::test_tools::per_element());
      }
    }
  }
}

// What machines get is the squashfs.
BOOST_AUTO_TEST_CASE(are_the_same_bytes_in_the_squashfs) {
  write_tar(folder.path() / "base.tar", {{"etc/hosts", 0644, ""}});
  const fs::path layer = folder.path() / "layer.tar";
  const auto made = make_layer_tree("role-x.squashfs", folder.path() / "base.tar", packed("pax", "C.UTF-8"),
                                    {}, kDate, layer);
  BOOST_REQUIRE_MESSAGE(made, made.error().message);
  tool(folder.path(), squashfs_command(::geteuid() == 0, layer, "layer.squashfs"));
  const std::string listed =
      "\n" + tool(folder.path(), {"unsquashfs", "-d", "", "-l", "layer.squashfs"}) + "\n";
  for (const std::string& name : kNames) {
    for (const char* place : {"/etc/", "/etc/link-", "/usr/"})
      BOOST_TEST(listed.find("\n" + (place + name) + "\n") != std::string::npos, place + name);
  }
}

BOOST_AUTO_TEST_SUITE_END()
