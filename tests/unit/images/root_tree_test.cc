#include "images/make/root_tree.h"

#include <boost/test/unit_test.hpp>
#include <sstream>

#include "base/file.h"
#include "images/make/module_set.h"
#include "images/make/stages.h"
#include "images/store/manifest.h"
#include "tests/unit/images/tar_tools.h"

using namespace rookery;
using namespace rookery::images;

namespace fs = std::filesystem;

namespace {

// A system of a few files, as mmdebstrap would leave it.
struct SystemFixture {
  TemporaryFolder folder = TemporaryFolder::make("/tmp", "rookery-test-").value();
  fs::path system = folder.path() / "system.tar", out = folder.path() / "out";
  std::vector<ImageFile> files = {
      {"boot/vmlinuz-6.1", 0644, "the kernel"},
      {"etc/apt/sources.list.d/mirror.list", 0644, "deb http://mirror.example/"},
      {"etc/hostname", 0644, "builder"},
      {"etc/ssh/ssh_host_ed25519_key", 0600, "secret"},
      {"etc/hosts", 0644, "of the builder"},
      {"rookery-kernel", 0644, "linux-image-6.1 6.1.5-1 1700000000\n"},
      {"rookery-san/sbin/iscsistart", 0755, "iscsistart"},
      {"rookery-unpacked", 0644, "tgt 1.0\n"},
      {"usr/bin/busybox", 0755, "busybox"},
      {"usr/bin/sh", S_IFLNK | 0777, "busybox"},
      {"usr/lib/modules/6.1/kernel/sound/snd.ko", 0644, "sound"},
      {"usr/lib/modules/6.1/modules.alias", 0644, "alias a virtio_net\nalias b snd\n"},
      {"usr/lib/modules/6.1/modules.builtin", 0644, ""},
      {"var/cache/apt/pkgcache.bin", 0644, "cache"},
      {"var/lib/dpkg/status", 0644, "Package: bash\nStatus: install ok installed\nVersion: 5.2\n\n"}};

  SystemFixture() {
    std::string dep = "kernel/sound/snd.ko:\n";
    std::vector<std::string> names = early_module_names();
    names.insert(names.end(), san_module_names().begin(), san_module_names().end());
    for (const std::string& name : names) {
      dep += "kernel/" + name + ".ko:\n";
      files.push_back({"usr/lib/modules/6.1/kernel/" + name + ".ko", 0644, "module " + name});
    }
    files.push_back({"usr/lib/modules/6.1/modules.dep", 0644, dep});
    fs::create_directory(out);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(root_tree, SystemFixture)

BOOST_AUTO_TEST_CASE(parts_a_system_into_root_kernel_and_early_modules) {
  write_tar(system, files);
  const auto tree =
      make_root_tree(system, {{"etc/hosts", 0644, "ours"}, {"sbin/init", S_IFLNK, "busybox"}}, out);
  BOOST_REQUIRE_MESSAGE(tree, tree.error().message);
  BOOST_TEST(tree->kernel_version == "6.1");
  BOOST_TEST(tree->created == kDate);
  BOOST_TEST(to_hex(tree->packages) ==
             to_hex(sha256(as_bytes("bash 5.2\nlinux-image-6.1 6.1.5-1\ntgt 1.0\n"))));
  BOOST_TEST(read_file(out / "vmlinuz").value() == "the kernel");
  BOOST_TEST(read_file(out / "busybox").value() == "busybox");

  const std::string root = "\n" + tool(out, {"tar", "tf", "root.tar"});
  for (const char* there : {"etc/hosts", "usr/bin/sh", "usr/sbin/init",
                            "usr/lib/modules/6.1/kernel/sound/snd.ko", "var/cache/apt/", "boot/"}) {
    BOOST_TEST(root.find(std::string("\n") + there + "\n") != std::string::npos, there);
  }
  for (const char* gone :
       {"etc/hostname", "ssh_host_ed25519_key", "mirror.list", "vmlinuz", "pkgcache", "rookery-"}) {
    BOOST_TEST(root.find(gone) == std::string::npos, gone);
  }
  BOOST_TEST(tool(out, {"tar", "xOf", "root.tar", "etc/hosts"}) == "ours");

  const std::string modules =
      tool(out, {"sh", "-c", "zstd -dc modules.cpio 2>/dev/null | busybox cpio -t 2>/dev/null"});
  BOOST_TEST(modules.find("lib/modules/6.1/kernel/virtio_net.ko") != std::string::npos);
  BOOST_TEST(modules.find("lib/modules/6.1/modules.dep") != std::string::npos);
  BOOST_TEST(modules.find("snd") == std::string::npos);
  BOOST_TEST(modules.find("iscsi_tcp.ko") == std::string::npos);
  // What only some machines need they fetch beside: but its dependencies are known to all.
  const std::string known = tool(out, {"sh", "-c",
                                       "mkdir m && cd m && zstd -dc ../modules.cpio 2>/dev/null | busybox "
                                       "cpio -id 2>/dev/null && cat lib/modules/6.1/modules.dep"});
  BOOST_TEST(known.find("iscsi_tcp.ko:") != std::string::npos);
  BOOST_TEST(
      tool(out, {"sh", "-c", "zstd -dc san.cpio 2>/dev/null | busybox cpio -t 2>/dev/null"}) ==
      "lib\nlib/modules\nlib/modules/6.1\nlib/modules/6.1/kernel\nlib/modules/6.1/kernel/iscsi_tcp.ko\n"
      "lib/modules/6.1/kernel/nfsv3.ko\nsbin\nsbin/iscsistart\n");
}

BOOST_AUTO_TEST_CASE(gives_the_same_bytes_for_the_same_system) {
  write_tar(system, files);
  BOOST_REQUIRE(make_root_tree(system, {}, out));
  const std::string root = read_file(out / "root.tar").value(),
                    modules = read_file(out / "modules.cpio").value();
  BOOST_REQUIRE(make_root_tree(system, {}, out));
  BOOST_TEST((read_file(out / "root.tar").value() == root));
  BOOST_TEST((read_file(out / "modules.cpio").value() == modules));
}

BOOST_AUTO_TEST_CASE(says_what_a_system_lacks) {
  std::erase_if(files, [](const ImageFile& file) { return file.path == "rookery-kernel"; });
  write_tar(system, files);
  BOOST_TEST(make_root_tree(system, {}, out).error().message ==
             system.string() +
                 " lacks its kernel, modules.dep or dpkg's status file; remove it and build again");
  BOOST_REQUIRE(write_file(system, "not a tar"));
  BOOST_TEST(!make_root_tree(system, {}, out));
}

BOOST_AUTO_TEST_CASE(refuses_a_file_outside_of_the_root) {
  write_tar(system, files);
  for (const char* path : {"", "/etc/passwd", "../etc/passwd", "usr/../../x", "etc/"}) {
    const auto tree = make_root_tree(system, {{path, 0644, "x"}}, out);
    BOOST_REQUIRE(!tree);
    BOOST_TEST(tree.error().message == "\"" + std::string(path) + "\" is no place for a file in the image");
  }
}

BOOST_AUTO_TEST_CASE(puts_the_guest_program_into_both_stages) {
  BOOST_REQUIRE(write_file(out / "guest", "guest", 0755));
  BOOST_REQUIRE(write_file(out / "busybox", "busybox", 0755));
  for (int stage : {1, 2}) {
    BOOST_REQUIRE(write_stage(stage, out / "guest", out / "busybox", kDate, out / "stage.cpio"));
    const std::string list = tool(out, {"sh", "-c", "busybox cpio -tv <stage.cpio 2>/dev/null"});
    BOOST_TEST(list.find("init -> rookery-guest") != std::string::npos, list);
    BOOST_TEST(list.find("crw------- 0/0") != std::string::npos, list);
    BOOST_TEST(list.find(stage == 1 ? "stage1" : "stage2") != std::string::npos, list);
    BOOST_TEST(list.find(stage == 1 ? "stage2" : "stage1") == std::string::npos, list);
    // The second stage gets its busybox with the modules that it loads, where there are any.
    BOOST_TEST((list.find("bin/busybox") != std::string::npos) == (stage == 1), list);
  }
}

BOOST_AUTO_TEST_CASE(wants_a_program_that_needs_no_libraries) {
  BOOST_REQUIRE(write_file(out / "text", "#!/bin/sh\n"));
  BOOST_TEST(check_static_program(out / "text").error().message ==
             (out / "text").string() + " is not a program for x86-64 Linux");
  const fs::path shell = fs::canonical("/bin/sh");
  BOOST_TEST(check_static_program(shell).error().message ==
             shell.string() + " needs shared libraries; it must be linked statically");
  std::string damaged = read_file(shell).value().substr(0, 64);
  BOOST_REQUIRE(write_file(out / "cut", damaged));
  BOOST_TEST(check_static_program(out / "cut").error().message ==
             (out / "cut").string() + " is damaged: its program headers lie outside");
}

BOOST_AUTO_TEST_SUITE_END()
