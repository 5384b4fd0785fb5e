// The words of boot scripts that came from the field, and what is made of those that nobody here knows.
#include <boost/test/unit_test.hpp>

#include "tests/unit/guest/scripted_host.h"

using namespace rookery;
using namespace rookery::ipxe;

namespace {

const BootUrl kHere = *parse_url("http://10.0.0.1/boot/first.ipxe");

Result<ScriptEnd> run(ScriptedHost& host, const std::string& commands) {
  return run_script("#!ipxe\n" + commands, kHere, host);
}
std::string said(ScriptedHost& host, const std::string& commands) {
  const Result<ScriptEnd> end = run(host, commands);
  if (!end) return end.error().message;
  std::string text;
  for (const std::string& line : host.printed) text += "[" + line + "]";
  return text;
}
std::string said(const std::string& commands) {
  ScriptedHost host;
  return said(host, commands);
}
std::string error_of(ScriptedHost& host, const std::string& commands) {
  const Result<ScriptEnd> end = run(host, commands);
  return end ? "(no error)" : end.error().message;
}
std::string error_of(const std::string& commands) {
  ScriptedHost host;
  return error_of(host, commands);
}

}  // namespace

// What is guessed
// -----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(says_which_unknown_word_was_taken_for_a_no) {
  for (const std::string line :
       {"frobnicate 29 && set a 64 || set a 32", "frobnicate 29 ||", "frobnicate 29 ; echo on"}) {
    ScriptedHost host;
    BOOST_REQUIRE(run(host, "\n" + line + "\necho ${a}"));
    BOOST_REQUIRE_EQUAL(host.guesses.size(), 1);
    BOOST_CHECK_EQUAL(host.guesses[0], "line 3: 'frobnicate' is not understood by the virtual boot ROM");
    BOOST_CHECK_EQUAL(host.printed.at(0), host.guesses[0]);
  }
  ScriptedHost host;
  BOOST_REQUIRE(run(host, "cpuid --fast 29 && set a 64 || set a 32\necho ${a}"));
  BOOST_CHECK_EQUAL(host.guesses.at(0), "line 2: 'cpuid' has no option --fast");
}

BOOST_AUTO_TEST_CASE(does_not_call_a_guess_what_was_answered) {
  ScriptedHost host;
  BOOST_CHECK(!run(host,
                   "isset ${nothing} && echo a || echo b\niseq a b ||\ncpuid 3 ||\nimgfree x ||\n"
                   "kernel missing ||\ngoto nowhere ||\nfrobnicate a"));
  BOOST_CHECK(host.guesses.empty());  // the last one ended the script, with its error
}

BOOST_AUTO_TEST_CASE(says_a_failure_before_and_and_or_on_the_console) {
  BOOST_CHECK_EQUAL(said("kernel missing && echo yes || echo no"),
                    "[line 2: cannot fetch http://10.0.0.1/boot/missing: not found][no]");
  BOOST_CHECK_EQUAL(said("isset ${x} && echo yes || echo no"), "[no]");
}

BOOST_AUTO_TEST_CASE(names_the_error_before_a_word_of_its_error_path) {
  BOOST_CHECK_EQUAL(error_of("initrd missing || error_reboot\n:error_reboot\nreboot"),
                    "line 2: cannot fetch http://10.0.0.1/boot/missing: not found; then line 2: "
                    "'error_reboot' is a label and not a command (goto goes there)");
  BOOST_CHECK_EQUAL(error_of("initrd missing || goto shell\n:shell\nshell"),
                    "line 4: 'shell' waits for a person, and nobody is at the console; before that, line 2: "
                    "cannot fetch http://10.0.0.1/boot/missing: not found");
}

BOOST_AUTO_TEST_CASE(asks_the_processor_by_cpuid) {
  ScriptedHost host;
  BOOST_CHECK_EQUAL(said(host, "cpuid --ext 29 && echo amd64 || echo i386"), "[amd64]");
  host = {};
  host.features = 0;
  BOOST_CHECK_EQUAL(said(host, "cpuid --ext 29 && echo amd64 || echo i386"), "[i386]");
  BOOST_CHECK_EQUAL(said("cpuid -e -c 29 || echo no"), "[no]");
  BOOST_CHECK_EQUAL(said("cpuid -ec 0x1d || echo no"), "[no]");
  BOOST_CHECK_EQUAL(error_of("cpuid 32"), "line 2: '32' is not a number from 0 to 31");
}

// Power
// ----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(restarts_and_powers_off_as_the_script_says) {
  ScriptedHost host;
  for (const std::string line : {"reboot", "reboot --warm", "reboot -s"}) {
    const auto end = run(host, "kernel missing || goto out\nboot\n:out\nsleep 5\n" + line + "\necho never");
    BOOST_REQUIRE(end);
    BOOST_CHECK(end->power == ScriptEnd::Power::restart);
    BOOST_CHECK(!end->boot);
    BOOST_CHECK_EQUAL(end->power_line, "line 6: reboot");
    BOOST_CHECK_EQUAL(end->last_caught, "line 2: cannot fetch http://10.0.0.1/boot/missing: not found");
  }
  const auto end = run(host, "poweroff || echo never");
  BOOST_REQUIRE(end);
  BOOST_CHECK(end->power == ScriptEnd::Power::off);
  BOOST_CHECK_EQUAL(end->power_line, "line 2: poweroff");
}

BOOST_AUTO_TEST_CASE(restarts_from_a_script_that_was_chained) {
  ScriptedHost host;
  host.files["http://10.0.0.1/boot/two.ipxe"] = "#!ipxe\n\nreboot\n";
  const auto end = run(host, "chain two.ipxe || echo never");
  BOOST_REQUIRE(end);
  BOOST_CHECK(end->power == ScriptEnd::Power::restart);
  BOOST_CHECK_EQUAL(end->power_line, "line 2: http://10.0.0.1/boot/two.ipxe: line 3: reboot");
}

// Images
// ---------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(boots_a_kernel_that_imgfetch_got) {
  for (const std::string select :
       {"kernel file-kernel initrd=file-initrd x=1\nboot", "imgselect file-kernel\nboot",
        "imgload file-kernel\nboot", "boot file-kernel x=1", "imgexec file-kernel"}) {
    ScriptedHost host;
    const auto end = run(host,
                         "imgfetch --name file-kernel http://10.0.0.1/vmlinuz\n"
                         "imgfetch --name file-initrd http://10.0.0.1/stage2.cpio\n" +
                             select);
    BOOST_REQUIRE_MESSAGE(end && end->boot, select);
    BOOST_CHECK_EQUAL(end->boot->kernel.name, "file-kernel");
    BOOST_CHECK_MESSAGE(end->boot->kernel.use == ImageUse::kernel, select);
    BOOST_REQUIRE_EQUAL(end->boot->initrds.size(), 1);
    BOOST_CHECK(end->boot->initrds[0].use == ImageUse::initrd);
  }
}

BOOST_AUTO_TEST_CASE(keeps_the_kernel_where_a_script_boots_an_initrd) {
  ScriptedHost host;
  const auto end = run(host, "initrd stage2.cpio\nimgargs stage2.cpio a=b\nboot stage2.cpio");
  BOOST_REQUIRE(end && end->boot);
  BOOST_CHECK(end->boot->kernel.use == ImageUse::initrd);
}

BOOST_AUTO_TEST_CASE(has_one_image_of_what_is_fetched_again) {
  ScriptedHost host;
  const auto end =
      run(host,
          "set n:int32 0\n:again\ninc n\nkernel --name kernel vmlinuz\ninitrd http://10.0.0.1/a.cpio\n"
          "iseq ${n} 20 || goto again\nboot kernel");
  BOOST_REQUIRE_MESSAGE(end, (end ? "" : end.error().message));
  BOOST_REQUIRE(end->boot);
  BOOST_CHECK_EQUAL(end->boot->initrds.size(), 1);
  BOOST_CHECK_EQUAL(host.dropped.size(), 38);  // and the files of the other tries are gone
  const auto two = run(host, "kernel vmlinuz\ninitrd a/root.cpio\ninitrd b/root.cpio\nboot");
  BOOST_REQUIRE(two && two->boot);
  BOOST_CHECK_EQUAL(two->boot->initrds.size(), 2);  // of one name, but not the same
}

BOOST_AUTO_TEST_CASE(gives_freed_images_back) {
  ScriptedHost host;
  BOOST_REQUIRE(run(host, "imgfetch --name ready x\nimgfree ready\nimgfetch y\nimgfetch z\nimgfree\nexit"));
  BOOST_CHECK_EQUAL(host.dropped.size(), 3);
}

BOOST_AUTO_TEST_CASE(lists_what_it_has) {
  BOOST_CHECK_EQUAL(said("kernel vmlinuz quiet\ninitrd a.cpio\nimgstat"),
                    "[vmlinuz : [kernel] [SELECTED] \"quiet\"][a.cpio : [initrd]]");
  BOOST_CHECK_EQUAL(said("ifstat\nifstat net0\nroute"),
                    "[net0: 52:54:00:12:34:ab (open)][net0: 52:54:00:12:34:ab (open)][net0: 10.0.0.5/]");
  BOOST_CHECK_EQUAL(said("show net0/ip\nshow hostname:hexraw"),
                    "[net0/ip = 10.0.0.5][hostname:hexraw = 6e31]");
  BOOST_CHECK_EQUAL(error_of("show nothing"), "line 2: there is no setting 'nothing'");
}

BOOST_AUTO_TEST_CASE(hands_timeouts_and_packing_to_its_host) {
  ScriptedHost host;
  BOOST_REQUIRE(run(host,
                    "kernel --timeout 2000 vmlinuz\ninitrd -t 1500 a.cpio\nimgextract --name m m.cpio.gz\n"
                    "chain -at 700 nowhere ||"));
  BOOST_CHECK(host.options.at(0).silence == std::chrono::seconds(2));
  BOOST_CHECK(host.options.at(1).silence == std::chrono::milliseconds(1500));
  BOOST_CHECK(host.options.at(2).extract && !host.options.at(1).extract);
  BOOST_CHECK(host.options.at(3).silence == std::chrono::milliseconds(700));
  BOOST_CHECK_EQUAL(error_of("kernel --timeout soon vmlinuz"),
                    "line 2: 'soon' is not a number from 0 to 3600000");
}

// Chains
// ---------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(takes_flags_that_stand_together) {
  ScriptedHost host;
  host.files["http://10.0.0.1/boot/two.ipxe"] = "#!ipxe\necho two\n";
  BOOST_CHECK_EQUAL(said(host, "chain -ar two.ipxe\necho never"), "[two]");
  BOOST_CHECK_EQUAL(error_of("chain -ax two.ipxe"), "line 2: 'chain' has no option -ax");
}

BOOST_AUTO_TEST_CASE(does_not_nest_a_script_that_replaces_itself) {
  ScriptedHost host;
  host.files["http://10.0.0.1/boot/loop.ipxe"] =
      "#!ipxe\ninc try\niseq ${try} 100 && exit ||\nsleep 1\nchain --replace --autofree loop.ipxe || echo "
      "never\n";
  const auto end = run(host, "set try:int32 0\nchain --replace loop.ipxe\necho never");
  BOOST_REQUIRE_MESSAGE(end, (end ? "" : end.error().message));
  BOOST_CHECK(host.slept == std::chrono::seconds(99));
  BOOST_CHECK(host.printed.empty());
}

BOOST_AUTO_TEST_CASE(names_the_script_that_took_the_place) {
  ScriptedHost host;
  host.files["http://10.0.0.1/boot/two.ipxe"] = "#!ipxe\n\nnonsense\n";
  host.files["http://10.0.0.1/boot/one.ipxe"] = "#!ipxe\nchain --replace two.ipxe\n";
  BOOST_CHECK_EQUAL(
      error_of(host, "chain --replace two.ipxe"),
      "http://10.0.0.1/boot/two.ipxe: line 3: 'nonsense' is not understood by the virtual boot ROM");
  // Who chained a script hears what became of the one that replaced it.
  BOOST_CHECK_EQUAL(said(host, "chain one.ipxe || echo caught").substr(0, 8), "[line 2:");
  BOOST_CHECK_EQUAL(host.printed.back(), "caught");
}

BOOST_AUTO_TEST_CASE(ends_a_script_that_replaces_itself_at_once_for_ever) {
  ScriptedHost host;
  host.files["http://10.0.0.1/boot/loop.ipxe"] = "#!ipxe\nchain --replace loop.ipxe\n";
  BOOST_CHECK_EQUAL(
      error_of(host, "chain loop.ipxe"),
      "line 2: http://10.0.0.1/boot/loop.ipxe: http://10.0.0.1/boot/loop.ipxe: line 2: the script is "
      "still running after 10000 commands");
}

BOOST_AUTO_TEST_CASE(waits_as_long_as_the_script_does) {
  ScriptedHost host;
  BOOST_REQUIRE(run(host, "set n:int32 0\n:a\ninc n\nsleep 1\niseq ${n} 4000 || goto a\nexit"));
  BOOST_CHECK(host.slept == std::chrono::seconds(4000));
}

BOOST_AUTO_TEST_CASE(runs_a_script_that_boot_names) {
  ScriptedHost host;
  host.files["http://10.0.0.1/boot/two.ipxe"] = "#!ipxe\necho two\nexit\n";
  BOOST_CHECK_EQUAL(said(host, "boot two.ipxe"), "[two]");
  host.printed.clear();
  BOOST_CHECK_EQUAL(said(host, "imgfetch --name next two.ipxe\nimgexec next"), "[two]");
}

BOOST_AUTO_TEST_CASE(sends_params) {
  ScriptedHost host;
  host.files["http://10.0.0.1/api"] = "#!ipxe\nexit\n";
  BOOST_REQUIRE(
      run(host,
          "params\nparam mac ${net0/mac}\nparam name a b&c\nchain --autofree http://10.0.0.1/api##params\n"
          "params --name x\nparam --params x k v\nchain http://10.0.0.1/api##params=x"));
  BOOST_CHECK_EQUAL(host.options.at(0).form.value_or(""), "mac=52%3a54%3a00%3a12%3a34%3aab&name=a%20b%26c");
  BOOST_CHECK_EQUAL(host.options.at(1).form.value_or(""), "k=v");
  BOOST_CHECK_EQUAL(error_of("chain x##params"), "line 2: there are no params for x##params");
  BOOST_CHECK_EQUAL(error_of("param k v"), "line 2: there are no params for this param");
  std::string much = "params\n";
  for (int i = 0; i < 200; ++i) much += "param k " + std::string(100, 'v') + "\n";
  BOOST_CHECK(error_of(much).ends_with("params of more than 8192 bytes"));
}

// Menus and prompts
// ----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(takes_the_default_of_a_menu_after_its_timeout) {
  const std::string menu =
      "menu What?\nitem --gap --   ---- systems ----\nitem --key a one The first\nitem two The second\n"
      "item --default three\nitem\n";
  const auto chosen = [&](const std::string& choose) {
    ScriptedHost host;
    if (const auto end = run(host, menu + choose + "\necho ${x}"); !end) return end.error().message;
    return host.printed.back() + " " + std::to_string(host.slept / std::chrono::milliseconds(1));
  };
  BOOST_CHECK_EQUAL(chosen("choose --timeout 2500 --default two x"), "two 2500");
  BOOST_CHECK_EQUAL(chosen("choose --timeout 2500 x"), "three 2500");
  BOOST_CHECK_EQUAL(chosen("choose --timeout 2500 --default nowhere x"), "three 2500");
  BOOST_CHECK_EQUAL(
      chosen("choose --default two x || echo never"),
      "line 8: 'choose' waits for a person, and nobody is at the console; with --timeout it goes "
      "on by itself");
  BOOST_CHECK_EQUAL(chosen("choose --timeout 0 x"), chosen("choose x"));
  BOOST_CHECK_EQUAL(chosen("menu Empty\nitem --gap nothing\nchoose --timeout 1 x"),
                    "line 10: the menu has no item that could be chosen");
  BOOST_CHECK_EQUAL(error_of("item a b"), "line 2: there is no menu for this item");
  BOOST_CHECK_EQUAL(error_of("choose --timeout 1 x"), "line 2: there is no menu to choose from");
  BOOST_CHECK_EQUAL(said("menu --name m T\nitem --menu m a A\nchoose --menu m --timeout 1 x\necho ${x}"),
                    "[T][  a  A][nobody chose: a][a]");
}

BOOST_AUTO_TEST_CASE(lets_a_prompt_pass_that_nobody_answers) {
  ScriptedHost host;
  BOOST_CHECK_EQUAL(said(host, "prompt --key 0x02 --timeout 2000 Press Ctrl-B... && shell ||\necho on"),
                    "[Press Ctrl-B...][on]");
  BOOST_CHECK(host.slept == std::chrono::seconds(2));
  BOOST_CHECK(host.guesses.empty());
  BOOST_CHECK_EQUAL(
      error_of("prompt Press any key ||"),
      "line 2: 'prompt' waits for a person, and nobody is at the console; with --timeout it goes on "
      "by itself");
  for (const std::string word : {"read x", "shell", "config", "login"})
    BOOST_CHECK(error_of(word + " || exit").find("waits for a person") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(passes_over_what_is_for_the_eye) {
  BOOST_CHECK_EQUAL(
      said("console --x 1024 --y 768 --picture http://10.0.0.1/a.png --keep ||\n"
           "colour --basic 4 --rgb 0x112233 4\ncpair --foreground 7 --background 4 2\n"
           "cpair -f 7 2\nsync --timeout 5000\niflinkwait --timeout 100 net0\nifopen net0\nifclose\n"
           "ifconf --configurator dhcp net0\necho on"),
      "[on]");
}

BOOST_AUTO_TEST_CASE(refuses_by_name_what_a_virtual_boot_rom_cannot_do) {
  for (const std::string word :
       {"sanboot --drive 0x80", "sanhook iscsi:x", "imgverify a b", "imgtrust --permanent",
        "vcreate --tag 3 net0", "nslookup x y", "ping 10.0.0.1", "ntp 10.0.0.1", "shim x"}) {
    BOOST_CHECK_EQUAL(error_of(word), "line 2: '" + word.substr(0, word.find(' ')) +
                                          "' is not understood by the virtual boot ROM");
  }
}

// Whole scripts, in the manner of those that people have
// ---------------------------------------------------

BOOST_AUTO_TEST_CASE(runs_a_menu_script_with_sections_by_mac_and_crlf) {
  const std::string script =
      "cpuid --ext 29 && set img x86_64 || set img x86_32\r\n"
      "isset ${root-path} && set img ${root-path} ||\r\n"
      "isset ${proxydhcp/dhcp-server} && set srv ${proxydhcp/dhcp-server} || set srv ${next-server}\r\n"
      "set cmdline_ltsp BOOTIF=01-${mac:hexhyp}\r\n"
      "set menu-timeout 5000\r\n"
      "goto ${mac} || goto start\r\n"
      ":52:54:00:12:34:ab\r\n"
      "set hostname pc01\r\n"
      "goto start\r\n"
      ":start\r\n"
      "menu iPXE boot menu - ${hostname}:${srv}:${root-path} || goto ${img}\r\n"
      "item --gap                        Boot an image from the network:\r\n"
      "# item --key 1 images             x86_64\r\n"
      "item x86_64   64 bit\r\n"
      "item\r\n"
      "item --key s shell                Drop to iPXE shell\r\n"
      "choose --timeout ${menu-timeout} --default ${img} img || goto cancel\r\n"
      "goto ${img}\r\n"
      ":x86_64\r\n"
      "kernel /ltsp/${img}/vmlinuz initrd=ltsp.img initrd=initrd.img \\\r\n"
      "  root=/dev/nfs ${cmdline_ltsp} host=${hostname}\r\n"
      "initrd /ltsp/ltsp.img\r\n"
      "initrd /ltsp/${img}/initrd.img\r\n"
      "boot || goto failed\r\n"
      ":cancel\r\n"
      ":failed\r\n"
      "shell\r\n";
  ScriptedHost host;
  const auto end = run_script("#!ipxe\r\n" + script, kHere, host);
  BOOST_REQUIRE_MESSAGE(end, (end ? "" : end.error().message));
  BOOST_REQUIRE(end->boot);
  BOOST_CHECK_EQUAL(end->boot->kernel.url.path, "/ltsp/x86_64/vmlinuz");
  BOOST_CHECK_EQUAL(end->boot->kernel.arguments,
                    "initrd=ltsp.img initrd=initrd.img root=/dev/nfs BOOTIF=01-52-54-00-12-34-ab host=pc01");
  BOOST_CHECK_EQUAL(end->boot->initrds.size(), 2);
  BOOST_CHECK(host.guesses.empty());
}

BOOST_AUTO_TEST_CASE(runs_a_provisioning_script_that_restarts_on_an_error) {
  const std::string script = R"(
set uri http://10.0.0.1:9873/provision/${net0/mac}?assetkey=${asset}&uuid=${uuid}
kernel --name kernel ${uri}&stage=kernel || goto reboot
imgextract --name kmods ${uri}&stage=kmods&compress=gz || initrd --name kmods ${uri}&stage=kmods || goto reboot
initrd --name initramfs ${uri}&stage=WHAT || goto reboot
boot kernel initrd=initramfs initrd=kmods wwid=${net0/mac} quiet

:reboot
echo There was an error, rebooting in 15s...
sleep 15
reboot
)";
  ScriptedHost host;
  auto text = script;
  auto end = run(host, text.replace(text.find("WHAT"), 4, "initramfs"));
  BOOST_REQUIRE(end && end->boot);
  BOOST_CHECK_EQUAL(end->boot->initrds.size(), 2);
  text = script;
  end = run(host, text.replace(text.find("WHAT"), 4, "missing"));
  BOOST_REQUIRE(end);
  BOOST_CHECK(end->power == ScriptEnd::Power::restart);
  BOOST_CHECK(host.slept == std::chrono::seconds(15));
  BOOST_CHECK(end->last_caught.find("stage=missing") != std::string::npos);
}
