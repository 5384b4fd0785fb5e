#include "images/make/layer.h"

#include <boost/test/unit_test.hpp>

#include "base/file.h"
#include "tests/unit/images/tar_tools.h"

using namespace rookery;
using namespace rookery::images;

namespace fs = std::filesystem;

namespace {

constexpr const char* kName = "role-web.squashfs";

struct LayerFixture {
  TemporaryFolder folder = TemporaryFolder::make("/tmp", "rookery-test-").value();
  std::vector<ImageFile> base = {
      {"etc/hosts", 0644, "of the builder"}, {"etc/passwd", 0644, "root:x:0:0::/:/bin/sh\n"},
      {"usr/bin/old", 0755, "old"},          {"usr/bin/sh", S_IFLNK | 0777, "busybox"},
      {"usr/share/gone/a", 0644, "a"},       {"usr/share/gone/b", 0644, "b"},
      {"usr/share/kept", 0644, "kept"},      {"var/lib/dpkg/status", 0644, "Package: bash\nVersion: 1\n\n"}};
  std::vector<ImageFile> extended = {
      {"etc/adduser.conf", 0644, "FIRST_SYSTEM_UID=760"},
      {"etc/hosts", 0644, "of the builder again"},
      {"etc/ld.so.cache", 0644, "cache"},
      {"etc/passwd", 0644, "root:x:0:0::/:/bin/sh\nweb:x:760:1::/:/bin/false\n"},
      {"etc/passwd-", 0644, "before"},
      {"usr/bin/old", 0755, "new"},
      {"usr/bin/sh", S_IFLNK | 0777, "busybox"},
      {"usr/bin/web", 0755, "web"},
      {"usr/share/kept", 0644, "kept"},
      {"usr/share/python3/__pycache__/x.pyc", 0644, "compiled"},
      {"var/cache/apt/pkgcache.bin", 0644, "cache"},
      {"var/lib/dpkg/status", 0644, "Package: bash\nVersion: 1\n\nPackage: web\nVersion: 2\n\n"},
      {"var/log/dpkg.log", 0644, "log"}};

  fs::path write(const std::string& name, const std::vector<ImageFile>& files, std::int64_t date) const {
    const fs::path path = folder.path() / name;
    write_tar(path, files, date);
    return path;
  }
  // The layer's tar; the extended system is dated later, as one that was made today is.
  Result<fs::path> layer() const {
    const fs::path destination = folder.path() / "layer.tar";
    const auto made =
        make_layer_tree(kName, write("base.tar", base, kDate), write("more.tar", extended, kDate + 5),
                        {{"etc/hosts", 0644, "ours"}}, kDate, destination);
    if (!made) return tl::unexpected<Error>(made.error());
    return destination;
  }
  std::string shell(const std::string& script) const { return tool(folder.path(), {"sh", "-c", script}); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(layer, LayerFixture)

BOOST_AUTO_TEST_CASE(has_what_the_packages_changed_and_the_records_that_they_added) {
  const auto tar = layer();
  BOOST_REQUIRE_MESSAGE(tar, tar.error().message);
  // The whiteout of a folder covers what was in it.
  BOOST_TEST(shell("tar tf layer.tar | grep -v /$") ==
             "usr/bin/old\nusr/bin/web\nusr/share/gone\n"
             "var/lib/rookery/added/role-web.squashfs/etc/passwd\n"
             "var/lib/rookery/added/role-web.squashfs/var/lib/dpkg/status\n");
  BOOST_TEST(shell("tar tvf layer.tar usr/share/gone").starts_with("c---------"));
  BOOST_TEST(shell("tar xOf layer.tar --wildcards '*/passwd'") == "web:x:760:1::/:/bin/false\n");
  BOOST_TEST(shell("tar xOf layer.tar --wildcards '*/status'") == "Package: web\nVersion: 2\n\n");
}

BOOST_AUTO_TEST_CASE(a_layer_does_not_depend_on_the_day_that_it_was_made) {
  const std::string one = read_file(layer().value()).value();
  const fs::path base_tar = write("base.tar", base, kDate), more = write("more.tar", extended, kDate + 86400);
  const fs::path again = folder.path() / "again.tar";
  BOOST_REQUIRE(make_layer_tree(kName, base_tar, more, {{"etc/hosts", 0644, "ours"}}, kDate, again));
  BOOST_TEST((read_file(again).value() == one));
}

BOOST_AUTO_TEST_CASE(packages_that_would_remove_some_of_the_systems_are_refused) {
  extended[11].content = "Package: web\nVersion: 2\n\n";
  BOOST_TEST(layer().error().message ==
             "the packages of role-web.squashfs would remove some of the system's");
}

BOOST_AUTO_TEST_CASE(what_is_no_tar_is_refused) {
  BOOST_REQUIRE(write_file(folder.path() / "x", "no tar"));
  BOOST_TEST(
      !make_layer_tree(kName, folder.path() / "x", folder.path() / "x", {}, kDate, folder.path() / "y"));
}

BOOST_AUTO_TEST_SUITE_END()
