#include "images/make/kept_root.h"

#include <boost/test/unit_test.hpp>

#include "base/file.h"
#include "images/store/manifest.h"

using namespace rookery;
using namespace rookery::images;

namespace {

struct KeptRootFixture {
  TemporaryFolder folder = TemporaryFolder::make("/tmp", "rookery-test-").value();
  Store store = Store::open(folder.path() / "store").value();
  KeptRoot root;

  KeptRootFixture() {
    BOOST_REQUIRE(write_file(folder.path() / kBusyboxFile, "busybox"));
    root.tree.kernel_version = "6.1.0-56-amd64";
    root.tree.packages = sha256(as_bytes("busybox-static 1.35\n"));
    root.tree.created = 1767225600;
    for (const std::string_view name : {kRootSquashfs, kVmlinuz})
      root.parts[std::string(name)] = {store.add(as_bytes(name)).value(), Bytes{name.size()}};
  }
  std::string text() const { return read_file(folder.path() / "root.json").value(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(kept_root, KeptRootFixture)

BOOST_AUTO_TEST_CASE(is_written_to_the_byte_as_programs_of_before_wrote_it) {
  BOOST_REQUIRE(write_kept_root(folder.path(), root));
  BOOST_TEST(text() ==
             "{\"kernel\": \"6.1.0-56-amd64\", \"packages\": \"" + to_hex(root.tree.packages) +
                 "\", \"created\": 1767225600, \"parts\": [{\"name\": \"root.squashfs\", \"sha256\": \"" +
                 to_hex(sha256(as_bytes(kRootSquashfs))) +
                 "\", \"size\": 13}, {\"name\": \"vmlinuz\", \"sha256\": \"" +
                 to_hex(sha256(as_bytes(kVmlinuz))) + "\", \"size\": 7}]}\n");
}

BOOST_AUTO_TEST_CASE(comes_back_as_it_was_and_not_without_its_parts) {
  BOOST_TEST(!read_kept_root(folder.path(), store));
  BOOST_REQUIRE(write_kept_root(folder.path(), root));
  const auto again = read_kept_root(folder.path(), store);
  BOOST_REQUIRE(again.has_value());
  BOOST_TEST(again->tree.kernel_version == root.tree.kernel_version);
  BOOST_TEST((again->tree.packages == root.tree.packages));
  BOOST_TEST(again->tree.created == root.tree.created);
  BOOST_REQUIRE(again->parts.size() == 2u);
  BOOST_TEST((again->parts.find(kVmlinuz)->second.sha256 == root.parts.find(kVmlinuz)->second.sha256));
  BOOST_TEST(again->parts.find(kVmlinuz)->second.size.count == 7u);

  root.parts["pruned"] = {sha256(as_bytes("never added")), Bytes{1}};
  BOOST_REQUIRE(write_kept_root(folder.path(), root));
  BOOST_TEST(!read_kept_root(folder.path(), store));
  BOOST_REQUIRE(write_file(folder.path() / "root.json", "{\"kernel\": 7}"));
  BOOST_TEST(!read_kept_root(folder.path(), store));
}

BOOST_AUTO_TEST_SUITE_END()
