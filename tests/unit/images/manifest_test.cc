#include "images/store/manifest.h"

#include <boost/test/unit_test.hpp>

#include "base/file.h"
#include "tests/unit/images/example_image.h"

using namespace rookery;
using namespace rookery::images;

namespace {

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto place = text.find(from);
  BOOST_REQUIRE_MESSAGE(place != std::string::npos, "the example has no " << from);
  return text.replace(place, from.size(), to);
}

void check_refused(const std::string& json, std::string_view message) {
  const auto manifest = parse_manifest(json);
  BOOST_REQUIRE_MESSAGE(!manifest, "was taken: " << json);
  BOOST_TEST(manifest.error().message == message);
}

}  // namespace

BOOST_AUTO_TEST_CASE(comes_back_from_json_as_it_was) {
  const ExampleImage image;
  const auto again = parse_manifest(to_json(image.manifest));
  BOOST_REQUIRE_MESSAGE(again, again.error().message);
  BOOST_TEST((*again == image.manifest));
  BOOST_TEST(to_hex(digest_of(*again)) == to_hex(digest_of(image.manifest)));
}

BOOST_AUTO_TEST_CASE(is_written_as_in_the_golden_file) {
  const ExampleImage image;
  const auto golden = read_file("tests/unit/images/testdata/manifest.json");
  BOOST_REQUIRE_MESSAGE(golden, golden.error().message);
  BOOST_TEST(to_json(image.manifest) == *golden);
}

BOOST_AUTO_TEST_CASE(names_the_field_that_is_wrong) {
  const std::string good = to_json(ExampleImage().manifest);
  check_refused("{}", "manifest.schema: is missing");
  check_refused("[]", "manifest: must be an object");
  check_refused(
      replaced(good, "rookery.image/2", "rookery.image/1"),
      "manifest.schema: is \"rookery.image/1\", and this program takes \"rookery.image/2\": the image "
      "was made by another version of it; make it anew with 'rookery image build'");
  check_refused(replaced(good, "\"example\"", "\"../example\""),
                "manifest.name: must be made of a-z, 0-9, '.', '_' and '-'");
  check_refused(replaced(good, "\"example\"", "7"), "manifest.name: must be a string");
  check_refused(replaced(good, "12.20260101", ""), "manifest.version: must not be empty");
  check_refused(replaced(good, "12.20260101", "a\\u001b[2J"), "manifest.version: holds a control character");
  check_refused(replaced(good, "1767225600", "-1"), "manifest.created: must be from 0 to 253402300799");
  check_refused(replaced(good, "1767225600", "99999999999999999999999"),
                "manifest.created: must be from 0 to 253402300799");
  check_refused(replaced(good, "1767225600", "1.5"), "manifest.created: must be an integer");
  check_refused(replaced(good, "\"packages\"", "\"parcels\""), "manifest.distribution.packages: is missing");
  check_refused(replaced(good, "\"created\"", "\"colour\": \"red\", \"created\""),
                "manifest.colour: is not a field of this version");
  check_refused(replaced(good, "\"component\": \"vmlinuz\"", "\"component\": \"bzimage\""),
                "manifest.kernels[1].component: names no component");
  check_refused(replaced(good, "rookery/vmlinuz", "rookery/../../etc/passwd"),
                "manifest.components[2].file: must be rookery/vmlinuz");
  check_refused(replaced(good, "\"sha256\": \"", "\"sha256\": \"z"),
                "manifest.components[0].sha256: is longer than 64 bytes");
  check_refused(replaced(good, "\"size\": 5", "\"size\": 0, \"was\": 5"),
                "manifest.components[0].size: must be from 1 to 1099511627776");
}

BOOST_AUTO_TEST_CASE(refuses_a_component_that_is_there_twice) {
  ExampleImage image;
  image.manifest.components.push_back(image.manifest.components[0]);
  check_refused(to_json(image.manifest), "manifest.components[6].name: root.squashfs is there twice");
}

BOOST_AUTO_TEST_CASE(refuses_more_than_its_limits) {
  ExampleImage image;
  for (std::size_t i = 0; i < kComponentsLimit; ++i) {
    Component component = image.manifest.components[0];
    component.name = "part-" + std::to_string(i);
    component.file = "rookery/" + component.name;
    image.manifest.components.push_back(component);
  }
  check_refused(to_json(image.manifest), "manifest.components: has more than 64 entries");
  check_refused(std::string(kManifestLimit.count + 1, ' '), "manifest: is larger than a manifest may be");
  check_refused(std::string(100, '['), "manifest: not JSON: nesting too deep at byte 8");
}

BOOST_AUTO_TEST_CASE(refuses_what_is_cut_short_and_what_goes_on) {
  const std::string good = to_json(ExampleImage().manifest);
  check_refused(good.substr(0, good.size() / 2), "manifest: the JSON ends too early");
  check_refused(good + "{}",
                "manifest: not JSON: unexpected character at byte " + std::to_string(good.size()));
}
