#include "images/medium/medium.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>

#include "base/command.h"
#include "tests/unit/images/example_image.h"

using namespace rookery;
using namespace rookery::images;

namespace fs = std::filesystem;

namespace {

struct MediumFixture {
  ExampleImage image;
  fs::path file = image.folder.path() / "medium=1.iso";

  MediumFixture() { write(); }
  void write() {
    const auto status = write_medium(image.manifest, image.files, file);
    BOOST_REQUIRE_MESSAGE(status, status.error().message);
  }
  std::string bytes() const { return read_file(file).value(); }
  // Changes one byte in the middle of where `part` of the medium lies.
  void damage(const std::string& part) {
    std::string medium = bytes();
    const auto place = medium.find(part);
    BOOST_REQUIRE(place != std::string::npos);
    medium[place + part.size() / 2] ^= 1;
    BOOST_REQUIRE(write_file(file, medium));
  }
  std::string error_of(const Status& status) const {
    BOOST_REQUIRE(!status);
    return status.error().message;
  }
  std::string about(const std::string& what) const { return "medium " + file.string() + ": " + what; }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(medium, MediumFixture)

BOOST_AUTO_TEST_CASE(gives_back_the_manifest_and_every_component) {
  const auto medium = Medium::open(file);
  BOOST_REQUIRE_MESSAGE(medium, medium.error().message);
  BOOST_TEST((medium->manifest() == image.manifest));
  BOOST_REQUIRE(medium->verify());
  for (const auto& [name, content] : image.contents) {
    const fs::path destination = image.folder.path() / "out";
    const auto status = medium->extract(name, destination);
    BOOST_REQUIRE_MESSAGE(status, status.error().message);
    BOOST_TEST(read_file(destination).value() == content);
  }
}

BOOST_AUTO_TEST_CASE(is_the_same_to_the_byte_when_written_again) {
  const std::string first = bytes();
  for (const auto& [name, path] : image.files) {
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(1000));
  }
  write();
  BOOST_TEST((bytes() == first));
}

BOOST_AUTO_TEST_CASE(is_an_iso_9660_volume_named_rookery) {
  BOOST_TEST(bytes().substr(0x8001, 5) == "CD001");
  BOOST_TEST(bytes().substr(0x8028, 7) == kMediumVolume);
}

BOOST_AUTO_TEST_CASE(names_each_component_that_is_damaged) {
  for (const auto& [name, content] : image.contents) {
    write();
    damage(content);
    const auto medium = Medium::open(file);
    BOOST_REQUIRE(medium);
    const std::string message = error_of(medium->verify());
    BOOST_TEST(message.starts_with(about(name + " is damaged (sha256 ")), message);
    BOOST_TEST(message.ends_with(" instead of " + to_hex(image.manifest.find(name)->sha256) + ")"), message);
    const fs::path destination = image.folder.path() / "out";
    BOOST_TEST(error_of(medium->extract(name, destination)) == message);
    BOOST_TEST(!fs::exists(destination));
  }
}

BOOST_AUTO_TEST_CASE(names_the_manifest_when_that_is_damaged) {
  damage("\"version\": \"12.20260101\"");
  const auto medium = Medium::open(file);
  BOOST_REQUIRE(!medium);
  BOOST_TEST(medium.error().message.starts_with(about("manifest.json is damaged (sha256 ")),
             medium.error().message);
}

BOOST_AUTO_TEST_CASE(names_the_component_at_which_it_is_cut_short) {
  const std::string whole = bytes();
  for (const auto& [name, content] : image.contents) {
    BOOST_REQUIRE(write_file(file, whole.substr(0, whole.find(content) + content.size() / 2)));
    const auto medium = Medium::open(file);
    BOOST_REQUIRE(medium);
    const std::string message = error_of(medium->verify());
    BOOST_TEST(message.starts_with(about(name + " is cut short or cannot be read")), message);
  }
}

BOOST_AUTO_TEST_CASE(refuses_a_medium_cut_anywhere) {
  const std::string whole = bytes();
  for (std::size_t length = 0; length < whole.size() - 2048; length += 2048) {
    BOOST_REQUIRE(write_file(file, whole.substr(0, length)));
    const auto medium = Medium::open(file);
    BOOST_TEST((!medium || !medium->verify()), "was taken at " << length);
  }
}

BOOST_AUTO_TEST_CASE(names_a_component_that_is_missing) {
  ExampleImage other;
  Manifest smaller = other.manifest;
  other.add("extra", "one more");
  // A medium of all, whose manifest is then replaced by one that promises more than is there.
  image.manifest.components = smaller.components;
  write();
  const auto medium = Medium::open(file);
  BOOST_REQUIRE(medium);
  BOOST_TEST(error_of(medium->extract("extra", image.folder.path() / "out")) == about("has no extra"));
  std::string bytes_without = bytes();
  // Rock Ridge's NM entry is the name that counts.
  for (std::size_t at; (at = bytes_without.find("stage2.cpio", 0x8000)) < bytes_without.find("schema");) {
    bytes_without.replace(at, 11, "stage3.cpio");
  }
  BOOST_REQUIRE(write_file(file, bytes_without));
  BOOST_TEST(error_of(Medium::open(file).value().verify()) == about("stage2.cpio is missing"));
}

BOOST_AUTO_TEST_CASE(says_that_a_manifest_is_missing) {
  fs::remove(file);
  const fs::path plain = image.files.at("vmlinuz");
  const auto done =
      run_checked({{"xorriso", "-as", "mkisofs", "-quiet", "-r", "-o", file.string(), plain.string()}, {}});
  BOOST_REQUIRE_MESSAGE(done, done.error().message);
  BOOST_TEST(Medium::open(file).error().message == about("manifest.json is missing"));
}

BOOST_AUTO_TEST_CASE(refuses_a_file_that_is_no_medium) {
  BOOST_REQUIRE(write_file(file, std::string(100000, 'x')));
  const auto medium = Medium::open(file);
  BOOST_REQUIRE(!medium);
  BOOST_TEST(medium.error().message.starts_with(about("is not a medium: ")), medium.error().message);
  BOOST_TEST(!Medium::open(image.folder.path() / "none.iso"));
  BOOST_TEST(!Medium::open(image.folder.path()));
}

BOOST_AUTO_TEST_CASE(does_not_read_a_directory_of_any_length_into_memory) {
  // ECMA-119 §8.4.18: the root directory's record is at byte 156 of the volume descriptor in sector 16;
  // §9.1.4: its length at byte 10 of that, in both byte orders.
  std::string medium = bytes();
  const std::string huge("\x00\xf8\xff\x0f\x0f\xff\xf8\x00", 8);
  medium.replace(16 * 2048 + 156 + 10, 8, huge);
  BOOST_REQUIRE(write_file(file, medium));
  fs::resize_file(file, 300u << 20);  // sparse
  const auto most_kibibytes = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const long before = most_kibibytes();
  const auto opened = Medium::open(file);
  BOOST_TEST(!opened);
  BOOST_TEST(most_kibibytes() - before < 100 * 1024);
}

BOOST_AUTO_TEST_CASE(unpacks_into_the_store_in_one_pass) {
  const Store store = Store::open(image.folder.path() / "store").value();
  const auto medium = Medium::open(file).value();
  for (int round = 0; round < 2; ++round) {
    const auto paths = medium.unpack({"linux-uml", "stage1.cpio"}, store);
    BOOST_REQUIRE_MESSAGE(paths, paths.error().message);
    BOOST_TEST(paths->size() == 2u);
    BOOST_TEST(read_file(paths->at("stage1.cpio")).value() == image.contents.at("stage1.cpio"));
    BOOST_TEST(::access(paths->at("linux-uml").c_str(), X_OK) == 0);
  }
}

BOOST_AUTO_TEST_CASE(unpacks_nothing_from_a_medium_that_is_damaged_elsewhere) {
  const Store store = Store::open(image.folder.path() / "store").value();
  damage(image.contents.at("root.squashfs"));
  const auto paths = Medium::open(file).value().unpack({"stage1.cpio"}, store);
  BOOST_REQUIRE(!paths);
  BOOST_TEST(paths.error().message.starts_with(about("root.squashfs is damaged")), paths.error().message);
}

BOOST_AUTO_TEST_CASE(what_nobody_is_going_to_read_is_not_looked_at) {
  const Store store = Store::open(image.folder.path() / "store").value();
  damage(image.contents.at("vmlinuz"));
  const auto medium = Medium::open(file).value();
  BOOST_TEST(!medium.unpack({"stage1.cpio"}, store, {"modules.cpio"}));
  const auto paths = medium.unpack({"stage1.cpio"}, store, {"vmlinuz"});
  BOOST_REQUIRE_MESSAGE(paths, paths.error().message);
  BOOST_TEST(read_file(paths->at("stage1.cpio")).value() == image.contents.at("stage1.cpio"));
}

BOOST_AUTO_TEST_CASE(replaces_a_damaged_object_of_the_store) {
  const Store store = Store::open(image.folder.path() / "store").value();
  const auto medium = Medium::open(file).value();
  const fs::path object = medium.unpack({"stage1.cpio"}, store).value().at("stage1.cpio");
  fs::permissions(object, fs::perms::owner_all);
  BOOST_REQUIRE(write_file(object, "something else"));
  const auto again = medium.unpack({"stage1.cpio"}, store);
  BOOST_REQUIRE(again);
  BOOST_TEST(read_file(again->at("stage1.cpio")).value() == image.contents.at("stage1.cpio"));
}

BOOST_AUTO_TEST_SUITE_END()
