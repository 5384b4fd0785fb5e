#include "images/store/store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "tests/unit/images/example_image.h"

using namespace rookery;
using namespace rookery::images;

namespace fs = std::filesystem;

namespace {

struct StoreFixture {
  ExampleImage image;
  fs::path folder = image.folder.path() / "store";
  Store store = Store::open(folder).value();

  std::size_t count(const char* part) const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder / part), {}));
  }
  void damage(const fs::path& object) {
    fs::permissions(object, fs::perms::owner_all);
    BOOST_REQUIRE(write_file(object, "something else"));
  }
  Digest256 put(const std::string& name) {
    image.manifest.name = name;
    const Digest256 medium = store.add(as_bytes("the medium of " + name)).value();
    BOOST_REQUIRE(store.put(image.manifest, medium, Digest256{}));
    return medium;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(store, StoreFixture)

BOOST_AUTO_TEST_CASE(names_an_object_by_its_content) {
  const auto digest = store.add(as_bytes("hello"));
  BOOST_REQUIRE(digest);
  BOOST_TEST(to_hex(*digest) == to_hex(sha256(as_bytes("hello"))));
  BOOST_TEST(read_file(store.object(*digest).value()).value() == "hello");
  BOOST_TEST(store.has(*digest));
  BOOST_TEST(!store.has(sha256(as_bytes("other"))));
}

BOOST_AUTO_TEST_CASE(keeps_one_copy_of_what_is_added_twice) {
  BOOST_REQUIRE(store.add(as_bytes("hello")));
  BOOST_REQUIRE(store.add_file(image.files.at("vmlinuz")));
  BOOST_REQUIRE(store.add_file(image.files.at("vmlinuz")));
  BOOST_TEST(count("objects") == 2u);
  BOOST_TEST(count("incoming") == 0u);
}

BOOST_AUTO_TEST_CASE(lets_an_object_be_run_if_it_is_a_program) {
  const auto path = store.object(store.add_file(image.files.at("linux-uml"), true).value()).value();
  struct stat status {};
  BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777) == 0555u);
}

BOOST_AUTO_TEST_CASE(leaves_nothing_of_an_object_that_was_not_kept) {
  {
    auto incoming = store.incoming();
    BOOST_REQUIRE(incoming);
    BOOST_REQUIRE(incoming->write(as_bytes("half")));
    BOOST_TEST(count("incoming") == 1u);
  }
  BOOST_TEST(count("incoming") == 0u);
  BOOST_TEST(count("objects") == 0u);
}

BOOST_AUTO_TEST_CASE(finds_an_image_by_name_and_by_digest) {
  put("one");
  put("two");
  const auto images = store.list();
  BOOST_REQUIRE(images);
  BOOST_REQUIRE(images->size() == 2u);
  BOOST_TEST(images->at(0).name == "one");
  BOOST_TEST(images->at(1).name == "two");
  BOOST_TEST(store.find("two").value().name == "two");
  BOOST_TEST(store.find(to_hex(images->at(0).manifest).substr(0, 8)).value().name == "one");
  BOOST_TEST((store.manifest(store.find("two").value()).value() == image.manifest));
}

BOOST_AUTO_TEST_CASE(says_which_images_there_are_when_it_has_not_the_one) {
  BOOST_TEST(store.find("debian12").error().message ==
             "there is no image debian12; the store has none: build one with \"rookery image build\"");
  put("one");
  put("two");
  BOOST_TEST(store.find("debian12").error().message == "there is no image debian12; the store has one, two");
}

BOOST_AUTO_TEST_CASE(refuses_a_name_that_leaves_the_store) {
  image.manifest.name = "../outside";
  const auto status = store.put(image.manifest, Digest256{}, Digest256{});
  BOOST_REQUIRE(!status);
  BOOST_TEST(status.error().message == "\"../outside\" cannot name an image");
  BOOST_TEST(!store.remove("../lock"));
  BOOST_TEST(fs::exists(folder / "lock"));
}

BOOST_AUTO_TEST_CASE(reports_a_damaged_object_and_removes_it) {
  const Digest256 medium = put("one");
  BOOST_REQUIRE(store.verify(store.find("one").value()));
  damage(store.object(medium).value());
  const auto status = store.verify(store.find("one").value());
  BOOST_REQUIRE(!status);
  BOOST_TEST(status.error().message ==
             "image one: medium: the store's object " + to_hex(medium) + " is damaged and was removed");
  BOOST_TEST(!store.has(medium));
}

BOOST_AUTO_TEST_CASE(does_not_believe_a_damaged_manifest) {
  put("one");
  damage(store.object(store.find("one").value().manifest).value());
  BOOST_TEST(store.manifest(store.find("one").value()).error().message ==
             "image one: its manifest is damaged");
}

BOOST_AUTO_TEST_CASE(names_the_field_of_a_damaged_record) {
  BOOST_REQUIRE(write_file(folder / "images" / "one", "{\"schema\": \"rookery.stored-image/1\"}"));
  BOOST_TEST(store.list().error().message == "image one.manifest: is missing");
}

BOOST_AUTO_TEST_CASE(writes_a_record_to_the_byte_as_stores_of_before) {
  const Digest256 medium = put("one");
  const Digest256 manifest = sha256(as_bytes(to_json(image.manifest)));
  const std::string zeros(64, '0');
  const std::string text = "{\n  \"schema\":\"rookery.stored-image\\/1\",\n  \"manifest\":\"" +
                           to_hex(manifest) + "\",\n  \"medium\":\"" + to_hex(medium) +
                           "\",\n  \"inputs\":\"" + zeros + "\"";
  BOOST_TEST(read_file(folder / "images" / "one").value() == text + "\n}\n");
  BOOST_REQUIRE(store.put(image.manifest, medium, Digest256{}, 1700000000));
  BOOST_TEST(read_file(folder / "images" / "one").value() == text + ",\n  \"system_made\":1700000000\n}\n");
}

BOOST_AUTO_TEST_CASE(one_that_may_only_be_read_is_read) {
  put("debian-12");
  const auto all = [&](fs::perms folders, fs::perms files) {
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      fs::permissions(entry.path(), entry.is_directory() ? folders : files);
    fs::permissions(folder, folders);
    fs::permissions(folder.parent_path(), folders);
  };
  using P = fs::perms;
  const P enter =
      P::owner_read | P::owner_exec | P::group_read | P::group_exec | P::others_read | P::others_exec;
  const P read = P::owner_read | P::group_read | P::others_read;
  // Somebody else's, for root may write everywhere.
  constexpr uid_t kNobody = 65534;
  const bool is_root = ::geteuid() == 0;
  for (const bool has_lock : {true, false}) {
    if (!has_lock) {
      all(P::owner_all, P::owner_all);
      fs::remove(folder / "lock");
      fs::remove(folder / "incoming");
    }
    all(enter, read);
    if (is_root) BOOST_REQUIRE(::seteuid(kNobody) == 0);
    auto opened = Store::open(folder);
    const bool found = opened && opened->list() && opened->list()->size() == 1 && opened->find("debian-12") &&
                       opened->manifest(*opened->find("debian-12"));
    const std::string pruned = opened ? opened->prune().error().message : "";
    const std::string added = opened ? opened->add(as_bytes("x")).error().message : "";
    const auto removed = opened ? opened->remove("debian-12") : Status();
    if (is_root) BOOST_REQUIRE(::seteuid(0) == 0);
    BOOST_TEST(opened.has_value(), (opened ? "" : opened.error().message));
    BOOST_TEST(found);
    BOOST_TEST(pruned.starts_with("nothing can be removed from the store in "));
    BOOST_TEST(!added.empty());
    BOOST_REQUIRE(!removed);
    BOOST_TEST(removed.error().message == "cannot remove the image debian-12: Permission denied");
    // Who reads shares the lock, if there is one, with who prunes.
    if (has_lock && opened) {
      all(P::owner_all, P::owner_all);
      BOOST_TEST(Store::open(folder).value().prune().error().message.find("in use") != std::string::npos);
    }
  }
  all(P::owner_all, P::owner_all);
  fs::permissions(folder / "images" / "debian-12", P::none);
  BOOST_TEST(Store::open(folder).has_value());
}

BOOST_AUTO_TEST_CASE(prunes_what_no_image_refers_to) {
  const Digest256 medium = put("one");
  const Digest256 component = store.add_file(image.files.at("vmlinuz")).value();
  const Digest256 left_over = store.add(as_bytes("left over")).value();
  BOOST_REQUIRE(write_file(folder / "incoming" / "object.abc123", "of a crash"));
  const auto pruned = store.prune();
  BOOST_REQUIRE_MESSAGE(pruned, pruned.error().message);
  BOOST_TEST(pruned->objects == 2u);
  BOOST_TEST(!pruned->more);
  BOOST_TEST(pruned->freed.count == 19u);
  BOOST_TEST(!store.has(left_over));
  BOOST_TEST(store.has(medium));
  BOOST_TEST(store.has(component));
  BOOST_REQUIRE(store.remove("one"));
  BOOST_TEST(store.prune().value().objects == 3u);
  BOOST_TEST(count("objects") == 0u);
}

BOOST_AUTO_TEST_CASE(prunes_no_more_than_it_may) {
  for (int i = 0; i < 5; ++i) BOOST_REQUIRE(store.add(as_bytes(std::to_string(i))));
  const auto pruned = store.prune(3);
  BOOST_REQUIRE(pruned);
  BOOST_TEST(pruned->objects == 3u);
  BOOST_TEST(pruned->more);
  BOOST_TEST(count("objects") == 2u);
}

BOOST_AUTO_TEST_CASE(prunes_nothing_while_another_uses_the_store) {
  BOOST_REQUIRE(store.add(as_bytes("in use")));
  {
    const auto other = Store::open(folder);
    BOOST_REQUIRE(other);
    BOOST_TEST(store.prune().error().message ==
               "the store is in use: take the running labs and builds down first");
    // Who was refused still has its own lock.
    BOOST_TEST(!other->prune().has_value());
  }
  BOOST_TEST(store.prune().value().objects == 1u);
}

BOOST_AUTO_TEST_CASE(prunes_nothing_when_it_cannot_read_a_manifest) {
  put("one");
  BOOST_REQUIRE(store.add(as_bytes("left over")));
  damage(store.object(store.find("one").value().manifest).value());
  BOOST_TEST(!store.prune());
  BOOST_TEST(count("objects") == 3u);
}

BOOST_AUTO_TEST_CASE(an_image_knows_when_its_system_was_made_and_an_older_record_does_not) {
  const Digest256 medium = put("one");
  BOOST_TEST(store.find("one")->system_made == 0);
  BOOST_REQUIRE(store.put(image.manifest, medium, Digest256{}, 1700000000));
  BOOST_TEST(store.find("one")->system_made == 1700000000);
}

BOOST_AUTO_TEST_SUITE_END()
