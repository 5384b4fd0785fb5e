#include "images/medium/boot_loader.h"

#include <boost/test/unit_test.hpp>

#include "base/file.h"
#include "images/make/grub.h"
#include "images/medium/medium.h"
#include "tests/unit/images/example_image.h"

using namespace rookery;
using namespace rookery::images;

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kDate = 1700000000;

// The example with Debian's GRUB among its parts.
struct BootableImage : ExampleImage {
  BootableImage() {
    const auto made = make_boot_loader(folder.path(), kDate);
    BOOST_REQUIRE_MESSAGE(made, made.error().message);
    for (std::string_view name : {kGrubMbr, kGrubBios, kGrubUefi})
      add(std::string(name), read_file(folder.path() / std::string(name)).value());
  }
  std::string medium() const {
    const fs::path file = folder.path() / "medium.iso";
    const auto status = write_medium(manifest, files, file);
    BOOST_REQUIRE_MESSAGE(status, status.error().message);
    return read_file(file).value();
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(boot_loader)

BOOST_AUTO_TEST_CASE(an_image_without_all_parts_of_it_does_not_boot_by_itself) {
  ExampleImage image;
  BOOST_TEST(!boots_by_itself(image.manifest));
  image.add(std::string(kGrubMbr), "x");
  image.add(std::string(kGrubBios), "x");
  BOOST_TEST(!boots_by_itself(image.manifest));
  image.add(std::string(kGrubUefi), "x");
  BOOST_TEST(boots_by_itself(image.manifest));
}

BOOST_AUTO_TEST_CASE(the_menu_checks_what_it_loads_and_names_the_very_medium) {
  BootableImage image;
  BOOST_TEST(boot_menu(image.manifest) ==
             "# Made with the medium, and for this one only.\n"
             "echo \"Rookery: the medium of the image example\"\n"
             "if hashsum --hash sha256 --check /boot/sha256 --prefix /rookery; then\n"
             "  linux /rookery/vmlinuz console=tty0 console=ttyS0,115200 quiet panic=-1 no_timer_check "
             "rookery.medium=" +
                 to_hex(digest_of(image.manifest)) +
                 "\n"
                 "  initrd /rookery/stage2.cpio /rookery/modules.cpio\n"
                 "  boot\n"
                 "  echo \"Rookery: the medium's kernel does not start\"\n"
                 "else\n"
                 "  echo \"Rookery: the medium is damaged: see above\"\n"
                 "fi\n"
                 "sleep 10\n"
                 "halt\n");
  image.add(std::string(kSanCpio), "x");
  BOOST_TEST(boot_menu(image.manifest).find("modules.cpio /rookery/san.cpio\n") != std::string::npos);
  BOOST_TEST(boot_digests(image.manifest) ==
             to_hex(image.manifest.find("vmlinuz")->sha256) + "  vmlinuz\n" +
                 to_hex(image.manifest.find("stage2.cpio")->sha256) + "  stage2.cpio\n" +
                 to_hex(image.manifest.find("modules.cpio")->sha256) + "  modules.cpio\n" +
                 to_hex(image.manifest.find("san.cpio")->sha256) + "  san.cpio\n");
}

BOOST_AUTO_TEST_CASE(its_parts_are_the_same_to_the_byte_when_made_again) {
  const auto one = TemporaryFolder::make("/tmp", "rookery-test-").value(),
             two = TemporaryFolder::make("/tmp", "rookery-test-").value();
  for (const auto* folder : {&one, &two}) BOOST_REQUIRE(make_boot_loader(folder->path(), kDate));
  for (std::string_view name : {kGrubMbr, kGrubBios, kGrubUefi})
    BOOST_TEST((read_file(one.path() / std::string(name)).value() ==
                read_file(two.path() / std::string(name)).value()));
}

BOOST_AUTO_TEST_CASE(the_medium_is_the_same_to_the_byte_and_boots_as_disk_and_as_cd) {
  BootableImage image;
  const std::string medium = image.medium();
  BOOST_TEST((image.medium() == medium));
  BOOST_TEST(medium.substr(510, 2) == "\x55\xaa");  // a disk's first sector that boots
  BOOST_TEST(medium.substr(512, 8) == "EFI PART");  // UEFI 2.10 §5.3.2: its partitions
  // One of them is an EFI system partition (§5.3.3; the GUID as it is on a disk), and CDs have El Torito's
  // volume.
  const std::string system_partition("\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b", 16);
  BOOST_TEST(medium.substr(1024, 128 * 4).find(system_partition) % 128 == 0);
  BOOST_TEST(medium.substr(17 * 2048 + 7, 23) == "EL TORITO SPECIFICATION");
  const auto opened = Medium::open(image.folder.path() / "medium.iso");
  BOOST_REQUIRE_MESSAGE(opened, opened.error().message);
  const auto whole = opened->verify();
  BOOST_TEST(whole.has_value(), "GRUB's parts are there as the manifest says");
}

BOOST_AUTO_TEST_CASE(a_medium_without_it_is_no_disk_that_boots) {
  ExampleImage image;
  const fs::path file = image.folder.path() / "medium.iso";
  BOOST_REQUIRE(write_medium(image.manifest, image.files, file));
  BOOST_TEST(read_file(file).value().substr(510, 2) != "\x55\xaa");
}

BOOST_AUTO_TEST_SUITE_END()
