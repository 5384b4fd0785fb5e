// Breaks each stage of a boot in several ways, with real kernels and real servers in virtual time, and asks
// why. The table is the test: what is broken, the cause that is named, and what the sentence must have.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <map>
#include <set>

#include "tests/support/virtual_lab.h"
#include "vboot/run/session/lab_why.h"

namespace rookery::vboot {
namespace {

using S = std::chrono::seconds;

// boot_timeout: above what a machine needs to give up by itself in the stages dhcp and root.
std::string lab_of(std::size_t clients) {
  return fmt::format(
      "lab: why\n"
      "machines:\n"
      "  server: {{role: boot-server, memory: 384 MiB}}\n"
      "  n: {{role: client, count: {}, memory: 64 MiB, boot_timeout: 90 s}}\n"
      "link: {{rate: 1 Gbit/s, delay: 100 us}}\n",
      clients);
}

// `memory_of_first` may be less than a lab file may say.
LabPlan plan_of(std::size_t clients, Bytes memory_of_first) {
  LabPlan plan = plan_lab(parse_lab(lab_of(clients), "why.yaml").value(), {}).value();
  if (memory_of_first.count > 0) plan.machines[1].memory = memory_of_first;
  return plan;
}

class Run {
 public:
  explicit Run(const BootedImage& image, std::size_t clients, Bytes memory_of_first = Bytes{0})
      : lab_(image, plan_of(clients, memory_of_first)) {}

  RunningLab& lab() { return lab_.lab(); }
  Node& node(std::string_view name) { return lab_.node(name); }
  void fault(const std::string& words) {
    auto spec = parse_fault(words);
    BOOST_REQUIRE_MESSAGE(spec.has_value(), words);
    const Status set = lab().faults().set(std::move(*spec));
    BOOST_REQUIRE_MESSAGE(set.has_value(), words << ": " << (set ? "" : set.error().message));
  }
  void boot() { BOOST_TEST(lab_.boot(S(300))); }
  void wait(std::string_view name, Stage stage) {
    Node& one = node(name);
    const bool came = lab_.loop().run_until(
        [&] { return one.boot().stage == stage || one.boot().stage == Stage::failed; }, S(300));
    BOOST_TEST(came, name << " is in the stage " << to_string(one.boot().stage));
  }
  void kill(std::string_view name) {
    BOOST_REQUIRE(!node(name).processes().empty());
    ::kill(node(name).processes().front(), SIGKILL);
    lab_.loop().run_until([&] { return node(name).boot().stage == Stage::failed; }, S(60));
  }
  void reset(std::string_view name) {
    BOOST_REQUIRE(node(name).power(backends::PowerAction::reset).has_value());
    lab_.loop().run_until([&] { return node(name).boot().stage != Stage::off; }, S(1));
  }
  // The last command of a machine need not come to its end.
  void last_word(std::string_view name, const std::string& script) {
    (void)lab_.run(name, {"sh", "-c", script}, S(60));
  }
  void shell(const std::string& script) {
    const CommandEnd end = lab_.run("server", {"sh", "-c", script});
    BOOST_TEST((end.code && *end.code == 0), script << ": " << end.said);
  }
  Why why(std::string_view name) { return why_of(lab(), node(name), lab_.loop().now()); }
  void pass(Duration time) { lab_.pass(time); }

 private:
  VirtualLab lab_;
};

// What was broken in each stage so far.
std::map<Stage, std::set<std::string>>& broken_ways() {
  static std::map<Stage, std::set<std::string>> ways;
  return ways;
}

struct Wanted {
  Stage stage;
  Cause cause;
  std::vector<std::string> parts;  // of the sentence
};

void check(Run& run, std::string_view name, std::string_view broken, const Wanted& wanted) {
  const BootRecord& boot = run.node(name).boot();
  const Why why = run.why(name);
  broken_ways()[boot.got_to()].emplace(broken);
  fmt::print("{:<60} {:<7} {:<15} {}\n", broken, to_string(boot.got_to()), to_string(why.cause),
             why.sentence);
  BOOST_TEST(to_string(boot.got_to()) == to_string(wanted.stage), broken << ": " << why.sentence);
  BOOST_TEST(to_string(why.cause) == to_string(wanted.cause), broken << ": " << why.sentence);
  for (const std::string& part : wanted.parts) {
    BOOST_TEST(why.sentence.find(part) != std::string::npos,
               broken << ": " << part << " in " << why.sentence);
  }
}

// A fault from the first frame on; {} stands for the machine.
struct BrokenCable {
  std::string fault;
  Wanted wanted;
};

const std::vector<BrokenCable> kCables{
    {"{} down", {Stage::dhcp, Cause::link_down, {"DISCOVER, no OFFER", "its link is down since"}}},
    {"{} down direction=down", {Stage::dhcp, Cause::link_down, {"no OFFER", "in one direction"}}},
    {"{} blocking=120s", {Stage::dhcp, Cause::port_blocked, {"no OFFER", "does not forward yet"}}},
    {"partition=server/{}", {Stage::dhcp, Cause::separated, {"no OFFER", "cut off from its boot server"}}},
    {"cut=server to={}", {Stage::dhcp, Cause::separated, {"no OFFER", "cut off from its boot server"}}},
    {"{} loss=100% match='udp dst port 67'", {Stage::dhcp, Cause::fault, {"no OFFER", "loss=100%"}}},
    {"{} loss=100% match='udp src port 67' skip=1",
     {Stage::dhcp, Cause::fault, {"1 OFFER", "REQUEST, no ACK", "loss=100%"}}},
    {"{} corrupt=100% match='udp port 68'", {Stage::dhcp, Cause::fault, {"no OFFER", "corrupt=100%"}}},
    {"{} loss=100% match=arp", {Stage::script, Cause::fault, {"ARP:", "for 10.77.0.1, no answer"}}},
    {"{} loss=100% match='tcp port 80'", {Stage::script, Cause::fault, {"HTTP:", "to 10.77.0.1, no answer"}}},
    {"{} loss=100% direction=down match='tcp src port 80' skip=2",
     {Stage::script, Cause::fault, {"http://10.77.0.1/boot.ipxe has no answer"}}},
    {"{} loss=100% direction=down match='tcp src port 80' skip=30",
     {Stage::kernel, Cause::fault, {"stage2.cpio began to come, and nothing came after"}}},
    {"{} loss=100% match='tcp port 80' skip=60", {Stage::kernel, Cause::fault, {"stage2.cpio"}}},
    {"{} loss=100% match='tcp port 10809'", {Stage::root, Cause::fault, {"NBD:", "to 10.77.0.1, no answer"}}},
    {"{} loss=100% match='tcp port 10809' skip=30",
     {Stage::root, Cause::fault, {"NBD: connected to 10.77.0.1"}}},
    {"{} loss=100% match='tcp port 10809' direction=down skip=1",
     {Stage::root, Cause::fault, {"NBD: connected to 10.77.0.1"}}},
};

constexpr const char* kPublic = "/run/rookery/role/public";
constexpr const char* kMedium = "/run/rookery/medium/rookery";

std::string script(const std::string& command) {
  return fmt::format("{0} </tmp/boot.ipxe >{1}/new && mv {1}/new {1}/boot.ipxe", command, kPublic);
}
std::string restart_dnsmasq(const std::string& change) {
  return change +
         "; kill $(cat /run/rookery/dnsmasq.pid); while pidof dnsmasq >/dev/null; do :; done; $(cat "
         "/tmp/dnsmasq)";
}

// Something wrong on the boot server, by its own root.
struct BrokenServer {
  std::string name;
  std::string breaks, mends;
  Wanted wanted;
};

std::vector<BrokenServer> servers() {
  const std::string mend_script = script("cat");
  const std::string put_back = "cp /tmp/dnsmasq.conf /run/rookery/role/dnsmasq.conf";
  const std::string edit = "sed -i '{}' /run/rookery/role/dnsmasq.conf";
  const std::string stop = "kill $(pidof {0}); while pidof {0} >/dev/null; do :; done";
  return {
      {"no DHCP server",
       fmt::format(fmt::runtime(stop), "dnsmasq"),
       "$(cat /tmp/dnsmasq)",
       {Stage::dhcp, Cause::no_offer, {"no answer from any DHCP server", "8 DISCOVER, no OFFER"}}},
      {"a DHCP server that ignores it",
       restart_dnsmasq("echo 'dhcp-ignore=tag:known' >>/run/rookery/role/dnsmasq.conf"),
       restart_dnsmasq(put_back),
       {Stage::dhcp, Cause::no_offer, {"8 DISCOVER, no OFFER"}}},
      {"no boot file",
       restart_dnsmasq(fmt::format(fmt::runtime(edit), "/dhcp-boot/d")),
       restart_dnsmasq(put_back),
       {Stage::dhcp, Cause::no_boot_file, {"names no boot"}}},
      {"a wrong boot file",
       restart_dnsmasq(fmt::format(fmt::runtime(edit), "s/boot.ipxe/wrong.ipxe/")),
       restart_dnsmasq(put_back),
       {Stage::script, Cause::http_error, {"404", "http://10.77.0.1/wrong.ipxe"}}},
      {"a boot file by TFTP that is not there",
       restart_dnsmasq(
           fmt::format(fmt::runtime(edit), "s,http://10.77.0.1/boot.ipxe,tftp://10.77.0.1/gone.ipxe,")),
       restart_dnsmasq(put_back),
       {Stage::script, Cause::tftp_error, {"gone.ipxe"}}},
      {"no boot script",
       fmt::format("rm {}/boot.ipxe", kPublic),
       mend_script,
       {Stage::script, Cause::http_error, {"404", "http://10.77.0.1/boot.ipxe"}}},
      {"an unknown word in the boot script",
       script("sed '2a frobnicate now'"),
       mend_script,
       {Stage::script, Cause::bad_script, {"line 3", "'frobnicate'"}}},
      {"a boot script that is none",
       script("echo '<html>'"),
       mend_script,
       {Stage::script, Cause::bad_script, {"boot.ipxe"}}},
      {"a boot script that boots nothing",
       script("printf '#!ipxe\\nexit 3\\n'"),
       mend_script,
       {Stage::script, Cause::bad_script, {"ended without booting (exit 3)"}}},
      {"no HTTP server",
       fmt::format(fmt::runtime(stop), "lighttpd"),
       "lighttpd -f /run/rookery/role/lighttpd.conf",
       {Stage::script, Cause::refused, {"HTTP: 10.77.0.1 refuses the connection"}}},
      {"an HTTP server that does not answer",
       "kill -STOP $(pidof lighttpd)",
       "kill -CONT $(pidof lighttpd)",
       {Stage::script, Cause::no_answer, {"GET http://10.77.0.1/boot.ipxe has no answer"}}},
      {"a boot file at an address that nobody has",
       restart_dnsmasq(fmt::format(fmt::runtime(edit), "s,http://10.77.0.1/,http://10.77.0.9/,")),
       restart_dnsmasq(put_back),
       {Stage::script, Cause::no_answer, {"ARP:", "10.77.0.9, no answer"}}},
      {"no second stage",
       script("sed s/stage2.cpio/stage9.cpio/"),
       mend_script,
       {Stage::kernel, Cause::http_error, {"404", "http://10.77.0.1/stage9.cpio"}}},
      {"another second stage than the digest says",
       script("sed s/rookery.initrd.sha256=.../rookery.initrd.sha256=000/"),
       mend_script,
       {Stage::kernel, Cause::bad_digest, {"digest of http://10.77.0.1/stage2.cpio"}}},
      {"a second stage that is no cpio",
       script("sed 's/stage2.cpio/boot.ipxe/; s/rookery.initrd.sha256=[0-9a-f,]*//'"),
       mend_script,
       {Stage::kernel, Cause::bad_image, {"boot.ipxe"}}},
      // An ELF program that ends at once: exit_group(0).
      {"a second stage whose init ends",
       "mkdir /tmp/next && cd /tmp/next && perl -e 'print pack(\"H*\", "
       "\"7f454c4602010100000000000000000002003e0001"
       "00000078004000000000004000000000000000000000000000000000000000400038000100000000000000010000000500000"
       "0000000"
       "0000000000000040000000000000004000000000000000010000000000000001000000000000001000000000000031ffb8e70"
       "000000f"
       "05\")' >init && chmod +x init && echo init | busybox cpio -o -H newc >" +
           std::string(kPublic) + "/next.cpio; mount --bind " + kPublic + "/next.cpio " + kMedium +
           "/modules.cpio; " +
           script("sed 's/stage2.cpio/modules.cpio/; s/rookery.initrd.sha256=[0-9a-f,]*//'"),
       std::string("umount -l ") + kMedium + "/modules.cpio; " + mend_script,
       {Stage::kernel, Cause::panic, {"its kernel panicked", "Attempted to kill init"}}},
      {"a share where nobody listens",
       script("sed s,:10809/root,:10810/root,"),
       mend_script,
       {Stage::root, Cause::refused, {"nbd://10.77.0.1:10810/root", "Connection refused"}}},
      {"a share by something unknown",
       script("sed s,nbd://,gopher://,"),
       mend_script,
       {Stage::root, Cause::bad_root, {"gopher"}}},
      {"an NBD server that does not answer",
       "kill -STOP $(pidof nbdkit)",
       "kill -CONT $(pidof nbdkit)",
       {Stage::root, Cause::stalled, {"NBD: connected to 10.77.0.1"}}},
      {"no NBD server",
       "kill -9 $(pidof nbdkit); while pidof nbdkit >/dev/null; do :; done",
       "true",
       {Stage::root, Cause::refused, {"NBD: 10.77.0.1 refuses the connection"}}},
      {"an export that is not there",
       "mkdir /tmp/exports; nbdkit --readonly --ipaddr=10.77.0.1 --port=10809 file dir=/tmp/exports",
       "true",
       {Stage::root, Cause::export_refused, {"NBD: 10.77.0.1 refuses the export 'root.squashfs'"}}},
      {"a share that is no file system",
       "dd if=/dev/zero of=/tmp/exports/root.squashfs bs=65536 count=1 2>/dev/null",
       "true",
       {Stage::root, Cause::bad_root, {"no squashfs"}}},
  };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(why_suite)

BOOST_AUTO_TEST_CASE(names_what_is_wrong_with_a_cable) {
  Run run(image_or_exit(77), kCables.size() + 1);
  for (std::size_t i = 0; i < kCables.size(); ++i)
    run.fault(fmt::format(fmt::runtime(kCables[i].fault), fmt::format("n{}", i + 1)));
  run.boot();
  for (std::size_t i = 0; i < kCables.size(); ++i)
    check(run, fmt::format("n{}", i + 1), kCables[i].fault, kCables[i].wanted);
  const std::string well = fmt::format("n{}", kCables.size() + 1);
  BOOST_TEST(to_string(run.why(well).cause) == "ready");
  // All of them at once, in groups; nothing of it is without a machine.
  const Json summary = why_summary(run.lab(), run.node(well).boot().since);
  BOOST_TEST(summary.find("ready")->as_integer().value() == 2);
  BOOST_TEST(summary.find("groups")->size() >= 6u);
}

BOOST_AUTO_TEST_CASE(names_what_is_wrong_with_the_boot_server) {
  Run run(image_or_exit(77), 1);
  run.boot();
  run.shell(fmt::format(
      "cp {}/boot.ipxe /tmp/boot.ipxe; cp /run/rookery/role/dnsmasq.conf /tmp/dnsmasq.conf; "
      "tr '\\0' ' ' </proc/$(pidof dnsmasq | cut -d' ' -f1)/cmdline >/tmp/dnsmasq; "
      "kill $(pidof lighttpd); while pidof lighttpd; do :; done; "
      "sed -i 's/stat-cache-engine.*/stat-cache-engine = \"disable\"/' /run/rookery/role/lighttpd.conf; "
      "lighttpd -f /run/rookery/role/lighttpd.conf",
      kPublic));
  for (const BrokenServer& one : servers()) {
    run.shell(one.breaks);
    run.reset("n1");
    run.wait("n1", Stage::ready);
    check(run, "n1", one.name, one.wanted);
    run.shell(one.mends);
  }
}

// As fleets' scripts do: a file is missing, so wait, and begin anew until it is there. And a word that no
// boot ROM knows, of which it is said what it was taken for, also when the machine has come up.
BOOST_AUTO_TEST_CASE(a_boot_script_restarts_its_machine_until_what_it_wants_is_there) {
  Run run(image_or_exit(77), 1);
  run.boot();
  run.shell(fmt::format(
      "kill $(pidof lighttpd); while pidof lighttpd; do :; done; "
      "sed -i 's/stat-cache-engine.*/stat-cache-engine = \"disable\"/' /run/rookery/role/lighttpd.conf; "
      "lighttpd -f /run/rookery/role/lighttpd.conf; cp {0}/boot.ipxe /tmp/boot.ipxe; "
      "sed -e '1a frobnicate 29 && set a 64 || set a 32' -e '1a cpuid --ext 29 || goto again' "
      "-e '1a imgfetch tftp://10.77.0.1/container.img || goto again' -e '1a imgfree container.img' "
      "-e '$a :again' -e '$a sleep 5' -e '$a reboot' </tmp/boot.ipxe >{0}/new && mv {0}/new {0}/boot.ipxe",
      kPublic));
  run.reset("n1");
  run.pass(S(14));
  BOOST_TEST(run.node("n1").boot().restarts == 2u);
  BOOST_TEST(to_string(run.node("n1").boot().stage) != "failed");
  BOOST_TEST(run.why("n1").sentence.find("container.img") != std::string::npos, run.why("n1").sentence);
  run.shell(fmt::format("echo >{}/container.img", kPublic));
  run.wait("n1", Stage::ready);
  check(run, "n1", "a script that restarts it",
        {Stage::ready,
         Cause::none,
         {"ready since", "restarted itself 3 times", "container.img", "reboot", "guessed",
          "line 2: 'frobnicate'"}});
}

BOOST_AUTO_TEST_CASE(names_want_of_memory) {
  for (const std::uint64_t memory : {17, 20}) {
    Run run(image_or_exit(77), 1, mebibytes(memory));
    run.boot();
    check(run, "n1", fmt::format("{} MiB of memory", memory),
          {run.node("n1").boot().got_to(),
           Cause::out_of_memory,
           {fmt::format("out of memory: it has {} MiB", memory)}});
  }
}

BOOST_AUTO_TEST_CASE(names_what_became_of_a_machine_or_of_its_server) {
  Run run(image_or_exit(77), 2);
  run.boot();
  run.reset("n2");
  run.wait("n2", Stage::dhcp);
  run.fault("n2 freeze");
  run.pass(S(5));
  check(run, "n2", "frozen, and asked meanwhile", {Stage::dhcp, Cause::frozen, {"it is frozen since"}});
  BOOST_REQUIRE(run.lab().faults().clear("all").has_value());

  run.fault("server down");
  run.reset("n2");
  run.wait("n2", Stage::ready);
  check(run, "n2", "server's cable pulled",
        {Stage::dhcp,
         Cause::server_link_down,
         {"no OFFER", "the link of its boot server, server, is down since"}});
  BOOST_REQUIRE(run.lab().faults().clear("all").has_value());

  run.reset("n2");
  run.wait("n2", Stage::root);
  run.fault("n2 down");
  run.wait("n2", Stage::ready);
  check(run, "n2", "its cable pulled in the middle",
        {Stage::root, Cause::link_down, {"NBD:", "its link is down since"}});
  BOOST_REQUIRE(run.lab().faults().clear("all").has_value());

  run.fault("server freeze");
  run.reset("n2");
  run.wait("n2", Stage::ready);
  check(run, "n2", "server frozen",
        {Stage::dhcp, Cause::server_frozen, {"its boot server, server, is frozen"}});

  run.reset("n2");
  BOOST_REQUIRE(run.node("server").power(backends::PowerAction::cut).has_value());
  run.wait("n2", Stage::ready);
  check(run, "n2", "server's power cut",
        {Stage::dhcp, Cause::server_off, {"no OFFER", "its boot server, server, is off"}});
  BOOST_TEST(run.why("server").sentence == "its power is off");
}

BOOST_AUTO_TEST_CASE(names_what_ends_a_boot_in_its_firmware) {
  BootedImage image = image_or_exit(77);
  {
    Run run(image, 1);
    run.boot();
    run.fault("n1 freeze");
    run.reset("n1");
    run.pass(S(5));
    check(run, "n1", "frozen from its power-on", {Stage::firmware, Cause::frozen, {"it is frozen since"}});
    BOOST_REQUIRE(run.lab().faults().clear("all").has_value());
    run.wait("n1", Stage::ready);
    run.reset("n1");
    run.kill("n1");
    run.wait("n1", Stage::ready);
    check(run, "n1", "killed at its power-on", {Stage::firmware, Cause::died, {"killed by signal 9"}});
  }
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-why-").value();
  const std::string rom = read_file(image.client.initramfs, mebibytes(64)).value();
  const std::pair<const char*, std::string> roms[] = {
      {"a boot ROM of which half is there", rom.substr(0, rom.size() / 2)},
      {"a boot ROM that is none", std::string(65536, 'x')}};
  for (const auto& [broken, bytes] : roms) {
    image.client.initramfs = folder.path() / "rom";
    BOOST_REQUIRE(write_file(image.client.initramfs, bytes).has_value());
    Run run(image, 1);
    run.boot();
    check(run, "n1", broken, {Stage::firmware, Cause::panic, {"its kernel panicked"}});
  }
}

BOOST_AUTO_TEST_CASE(names_what_ended_a_machine_that_was_ready) {
  Run run(image_or_exit(77), 5);
  run.boot();
  // Its init jumps to nowhere (ptrace(2): attach, a new instruction pointer, detach).
  run.last_word("n1",
                "perl -e 'syscall(101, 16, 1, 0, 0); syscall(61, 1, 0, 0x40000000, 0); "
                "syscall(101, 6, 1, 128, 0); syscall(101, 17, 1, 0, 0)'; kill -HUP 1; sleep 20");
  check(run, "n1", "its init crashes",
        {Stage::ready, Cause::panic, {"its kernel panicked", "Attempted to kill init"}});
  run.last_word("n2", "echo 1 >/proc/sys/vm/panic_on_oom; head -c 80M /dev/zero | tail; sleep 20");
  check(run, "n2", "a program that takes all memory",
        {Stage::ready, Cause::out_of_memory, {"out of memory: it has 64 MiB"}});
  run.kill("n3");
  run.wait("n3", Stage::failed);
  check(run, "n3", "killed", {Stage::ready, Cause::died, {"killed by signal 9"}});
  run.last_word("n4", "busybox poweroff -f");
  run.pass(S(1));
  check(run, "n4", "switched off from inside", {Stage::off, Cause::off, {"its power is off"}});
  // What is ready stays so, and why says what is in its way now.
  run.fault("n5 down");
  BOOST_REQUIRE(run.node("server").power(backends::PowerAction::cut).has_value());
  run.pass(S(1));
  check(run, "n5", "its cable and its boot server's plug pulled",
        {Stage::ready,
         Cause::none,
         {"ready since", "but its link is down since", "its boot server, server, is off"}});
}

BOOST_AUTO_TEST_CASE(each_stage_was_broken_in_at_least_three_ways) {
  if (broken_ways().size() < 2) return;  // a single case was asked for
  for (const Stage stage :
       {Stage::firmware, Stage::dhcp, Stage::script, Stage::kernel, Stage::root, Stage::ready}) {
    fmt::print("{} ways of {}\n", broken_ways()[stage].size(), to_string(stage));
    BOOST_TEST(broken_ways()[stage].size() >= 3u, to_string(stage));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
