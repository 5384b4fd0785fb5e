#include "images/make/module_set.h"

#include <boost/test/unit_test.hpp>

using namespace rookery;
using namespace rookery::images;

namespace {
constexpr std::string_view kDep =
    "kernel/drivers/net/virtio_net.ko: kernel/net/core/failover.ko kernel/drivers/net/net_failover.ko\n"
    "kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko\n"
    "kernel/net/core/failover.ko:\n"
    "kernel/drivers/usb/host/xhci-pci.ko: kernel/drivers/usb/host/xhci-hcd.ko\n"
    "kernel/drivers/usb/host/xhci-hcd.ko:\n"
    "kernel/sound/snd.ko:\n";
}  // namespace

BOOST_AUTO_TEST_CASE(takes_a_module_with_all_that_it_needs) {
  const auto lines = module_closure(kDep, "", {"virtio_net"});
  BOOST_REQUIRE(lines);
  BOOST_REQUIRE(lines->size() == 3u);
  BOOST_TEST(module_file(lines->at(0)) == "kernel/drivers/net/virtio_net.ko");
  BOOST_TEST(module_file(lines->at(1)) == "kernel/drivers/net/net_failover.ko");
  BOOST_TEST(module_file(lines->at(2)) == "kernel/net/core/failover.ko");
}

BOOST_AUTO_TEST_CASE(counts_a_dash_in_a_name_as_an_underscore) {
  const auto lines = module_closure(kDep, "", {"xhci_pci"});
  BOOST_REQUIRE(lines);
  BOOST_TEST(lines->size() == 2u);
}

BOOST_AUTO_TEST_CASE(needs_no_file_for_what_the_kernel_has_built_in) {
  const auto lines = module_closure(kDep, "kernel/drivers/block/loop.ko\n", {"loop"});
  BOOST_REQUIRE(lines);
  BOOST_TEST(lines->empty());
}

BOOST_AUTO_TEST_CASE(names_a_module_that_the_kernel_has_not) {
  BOOST_TEST(module_closure(kDep, "", {"warp_drive"}).error().message ==
             "the kernel has no module warp_drive");
  BOOST_TEST(module_closure("a.ko: b.ko\n", "", {"a"}).error().message == "modules.dep has no line for b.ko");
}

BOOST_AUTO_TEST_CASE(ends_when_modules_need_each_other) {
  const auto lines = module_closure("a.ko: b.ko\nb.ko: a.ko\n", "", {"a"});
  BOOST_REQUIRE(lines);
  BOOST_TEST(lines->size() == 2u);
}

BOOST_AUTO_TEST_CASE(keeps_the_aliases_of_its_modules_only) {
  const auto lines = module_closure(kDep, "", {"virtio_net"});
  BOOST_REQUIRE(lines);
  BOOST_TEST(aliases_of("alias virtio:d00000001v* virtio_net\nalias char-major-116-* snd\n", *lines) ==
             "alias virtio:d00000001v* virtio_net\n");
}
