#include "guest/script/ipxe_script.h"

#include <boost/test/unit_test.hpp>

#include "tests/unit/guest/scripted_host.h"

using namespace rookery;
using namespace rookery::ipxe;

namespace {

const BootUrl kHere = *parse_url("http://10.0.0.1/boot/first.ipxe");

Result<ScriptEnd> run(ScriptedHost& host, const std::string& commands) {
  return run_script("#!ipxe\n" + commands, kHere, host);
}
// What the script says by echo, each line in brackets; or its error.
std::string said(const std::string& commands) {
  ScriptedHost host;
  const Result<ScriptEnd> end = run(host, commands);
  if (!end) return end.error().message;
  std::string text;
  for (const std::string& line : host.printed) text += "[" + line + "]";
  return text;
}
std::string error_of(const std::string& commands) {
  ScriptedHost host;
  const Result<ScriptEnd> end = run(host, commands);
  return end ? "(no error)" : end.error().message;
}
std::string repeat(std::string_view text, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(boots_a_kernel_with_its_initrds_in_order) {
  ScriptedHost host;
  const auto end = run(host,
                       "kernel vmlinuz quiet  root=/dev/ram0\n"
                       "initrd one.cpio\n"
                       "initrd --name second http://10.0.0.2:8080/two.cpio?x=1\n"
                       "boot\n"
                       "echo never\n");
  BOOST_REQUIRE_MESSAGE(end, (end ? "" : end.error().message));
  BOOST_REQUIRE(end->boot);
  BOOST_CHECK_EQUAL(end->boot->kernel.url.to_string(), "http://10.0.0.1/boot/vmlinuz");
  BOOST_CHECK_EQUAL(end->boot->kernel.handle, "handle:vmlinuz");
  BOOST_CHECK_EQUAL(end->boot->kernel.arguments, "quiet root=/dev/ram0");
  BOOST_REQUIRE_EQUAL(end->boot->initrds.size(), 2);
  BOOST_CHECK_EQUAL(end->boot->initrds[0].name, "one.cpio");
  BOOST_CHECK_EQUAL(end->boot->initrds[1].name, "second");
  BOOST_CHECK_EQUAL(end->boot->initrds[1].url.to_string(), "http://10.0.0.2:8080/two.cpio?x=1");
  BOOST_CHECK(host.printed.empty());
}

BOOST_AUTO_TEST_CASE(ends_without_booting_when_the_script_does) {
  ScriptedHost host;
  for (const std::string commands : {"", "echo hi", "kernel vmlinuz\n", "exit\nboot\n"}) {
    const auto end = run(host, commands);
    BOOST_REQUIRE(end);
    BOOST_CHECK(!end->boot);
  }
  BOOST_CHECK_EQUAL(run(host, "exit 3")->exit_code, 3);
}

BOOST_AUTO_TEST_CASE(names_what_it_does_not_understand_with_its_line) {
  BOOST_CHECK_EQUAL(error_of("\n# a comment\nsanboot iscsi:10.0.0.1\n"),
                    "line 4: 'sanboot' is not understood by the virtual boot ROM");
  BOOST_CHECK_EQUAL(error_of("echo ${ip:colour}"),
                    "line 2: the type of the setting ${ip:colour} is not understood");
  BOOST_CHECK_EQUAL(error_of("kernel --fast x"), "line 2: 'kernel' has no option --fast");
  BOOST_CHECK_EQUAL(error_of("kernel --name"), "line 2: the option --name needs a value");
  BOOST_CHECK_EQUAL(error_of("kernel --autofree=1 x"), "line 2: the option --autofree=1 takes no value");
  BOOST_CHECK_EQUAL(error_of("iseq a"), "line 2: 'iseq' needs more words");
  BOOST_CHECK_EQUAL(error_of("iseq a b c"), "line 2: 'iseq' has too many words");
  BOOST_CHECK_EQUAL(error_of("boot"), "line 2: there is no kernel to boot");
  BOOST_CHECK_EQUAL(error_of("goto nowhere"), "line 2: there is no label ':nowhere'");
  BOOST_CHECK_EQUAL(error_of("imgargs vmlinuz x"), "line 2: there is no image 'vmlinuz'");
  BOOST_CHECK_EQUAL(error_of("dhcp net7"), "line 2: there is no interface net7");
  BOOST_CHECK_EQUAL(error_of("set x:hex zz"), "line 2: 'zz' is not hexadecimal");
  BOOST_CHECK_EQUAL(error_of("kernel ftp//x y"), "(no error)");  // a relative path, however odd
  BOOST_CHECK_EQUAL(error_of("kernel http:///x"), "line 2: the address 'http:///x' has no host");
}

BOOST_AUTO_TEST_CASE(wants_the_line_that_makes_it_a_script) {
  ScriptedHost host;
  for (const std::string text : {"", "#!ipxe", "#!ipxes\n", "echo hi\n", "<html>"}) {
    const auto end = run_script(text, kHere, host);
    BOOST_REQUIRE(!end);
    BOOST_CHECK_EQUAL(end.error().message, "it is not an iPXE script: it does not begin with #!ipxe");
  }
  BOOST_CHECK(run_script("#!gpxe\r\necho old\r\n", kHere, host));
}

BOOST_AUTO_TEST_CASE(ends_with_the_error_of_a_command_that_nothing_caught) {
  BOOST_CHECK_EQUAL(said("isset ${nothing}\necho never"), "line 2: 'isset' found nothing");
  BOOST_CHECK_EQUAL(said("iseq a b && echo never"), "line 2: 'iseq': 'a' is not 'b'");
  BOOST_CHECK_EQUAL(said("kernel missing"), "line 2: cannot fetch http://10.0.0.1/boot/missing: not found");
}

BOOST_AUTO_TEST_CASE(joins_commands_as_ipxe_does) {
  BOOST_CHECK_EQUAL(said("iseq a a && echo yes || echo no"), "[yes]");
  BOOST_CHECK_EQUAL(said("iseq a b && echo yes || echo no"), "[no]");
  BOOST_CHECK_EQUAL(said("iseq a b ||\necho on"), "[on]");
  BOOST_CHECK_EQUAL(said("iseq a b || iseq b b && echo both"), "[both]");
  BOOST_CHECK_EQUAL(said("iseq a b ; echo anyway"), "[anyway]");
  BOOST_CHECK_EQUAL(said("echo a||b"), "[a||b]");  // not a word of its own
  BOOST_CHECK_EQUAL(said("echo a # b || c"), "[a]");
  BOOST_CHECK_EQUAL(said("iseq a b && goto x || goto y\n:x\necho x\n:y\necho y"), "[y]");
}

BOOST_AUTO_TEST_CASE(says_on_the_console_what_a_script_caught) {
  BOOST_CHECK_EQUAL(said("sanboot x || echo caught"),
                    "[line 2: 'sanboot' is not understood by the virtual boot ROM][caught]");
  BOOST_CHECK_EQUAL(said("isset ${nothing} || echo caught"), "[caught]");
}

BOOST_AUTO_TEST_CASE(goes_to_labels_forward_and_back) {
  BOOST_CHECK_EQUAL(said("set n:int32 0\n"
                         ":again\n"
                         "inc n\n"
                         "echo ${n}\n"
                         "iseq ${n} 3 || goto again\n"
                         "goto end\n"
                         "echo never\n"
                         ":end echo on the label's line\n"),
                    "[1][2][3][on the label's line]");
}

BOOST_AUTO_TEST_CASE(ends_a_loop_that_never_ends) {
  BOOST_CHECK_EQUAL(error_of(":a\ngoto a"), "line 3: the script is still running after 10000 commands");
  // … and no || catches that.
  BOOST_CHECK_EQUAL(error_of(":a\ngoto a ||\ngoto a"),
                    "line 3: the script is still running after 10000 commands");
}

BOOST_AUTO_TEST_CASE(expands_settings_in_all_their_forms) {
  BOOST_CHECK_EQUAL(said("echo ${net0/mac} ${mac:hexhyp} ${netX/mac:hexraw}"),
                    "[52:54:00:12:34:ab 52-54-00-12-34-ab 5254001234ab]");
  BOOST_CHECK_EQUAL(said("echo ${ip} ${net0/ip:hex} ${ip:hexraw} ${ip:uint32} ${ip:int8}"),
                    "[10.0.0.5 0a:00:00:05 0a000005 0xa000005 5]");
  BOOST_CHECK_EQUAL(said("echo ${hostname:hexraw} ${hostname:base64} ${hostname:uristring}"),
                    "[6e31 bjE= n1]");
  BOOST_CHECK_EQUAL(said("echo a${nothing}b ${net9/mac}."), "[ab .]");
  BOOST_CHECK_EQUAL(said("echo ${platform}-${buildarch} $ {x} ${unfinished"),
                    "[uml-x86_64 $ {x} ${unfinished]");
}

BOOST_AUTO_TEST_CASE(expands_a_name_made_of_settings) {
  BOOST_CHECK_EQUAL(said("set uml-x86_64 inner value\necho ${${platform}-${buildarch}}"), "[inner value]");
  BOOST_CHECK_EQUAL(said("set a ${\nset b hostname}\necho ${a}${b}"), "[n1]");
}

BOOST_AUTO_TEST_CASE(sets_clears_and_scopes_settings) {
  BOOST_CHECK_EQUAL(said("set x one  two\necho ${x}\nclear x\necho ${x}."), "[one two][.]");
  BOOST_CHECK_EQUAL(said("set hostname mine\necho ${hostname}\nclear hostname\necho ${hostname}"),
                    "[mine][n1]");
  BOOST_CHECK_EQUAL(said("set net0/x 5\necho ${net0/x}${x}."), "[55.]");  // of any interface
  BOOST_CHECK_EQUAL(said("set a:ipv4 10.1.2.3\necho ${a} ${a:hexraw}"), "[10.1.2.3 0a010203]");
  BOOST_CHECK_EQUAL(said("set a:hexhyp 01-02:ff\necho ${a} ${a:uint16}"), "[01-02-ff 0x2ff]");
  BOOST_CHECK_EQUAL(said("set a:int8 -3\necho ${a:hexraw} ${a}\nset a\necho ${a}."), "[fd -3][.]");
  BOOST_CHECK_EQUAL(said("isset ${hostname} && echo set"), "[set]");
}

BOOST_AUTO_TEST_CASE(bounds_what_a_word_may_grow_to) {
  std::string doubling = "set x " + std::string(100, 'x') + "\n";
  for (int i = 0; i < 20; ++i) doubling += "set x ${x}${x}\n";
  BOOST_CHECK_EQUAL(error_of(doubling), "line 10: a word that grows beyond 16384 bytes");
  BOOST_CHECK_EQUAL(error_of("set x ${x${\nset x }\necho ${" + repeat("${ip}", 300)),
                    "line 4: a word with more than 256 settings in it");
  BOOST_CHECK_EQUAL(error_of("set x " + std::string(9000, 'x') + "\necho ${x} ${x}"),
                    "line 3: a command of more than 16384 bytes");
}

BOOST_AUTO_TEST_CASE(ends_the_expansion_of_a_setting_that_names_itself) {
  ScriptedHost host;
  host.settings["hostname"] = Setting::text("${hostname}");  // a server may call us anything
  BOOST_CHECK_EQUAL(run(host, "echo ${hostname}").error().message,
                    "line 2: a word with more than 256 settings in it");
}

BOOST_AUTO_TEST_CASE(bounds_the_script_itself) {
  ScriptedHost host;
  const auto message = [&host](const std::string& text) {
    const auto end = run_script(text, kHere, host);
    return end ? "(no error)" : end.error().message;
  };
  BOOST_CHECK_EQUAL(message("#!ipxe\n" + std::string(kScriptMax, '\n')),
                    "the script is longer than 262144 bytes");
  BOOST_CHECK_EQUAL(message("#!ipxe\n" + std::string(kLinesMax, '\n')),
                    "the script has more than 8192 lines");
  BOOST_CHECK_EQUAL(message("#!ipxe\n\n" + repeat("x\\\n", 9000)), "the script has more than 8192 lines");
  BOOST_CHECK_EQUAL(message("#!ipxe\n\n" + repeat(std::string(99, 'x') + "\\\n", 170)),
                    "line 3: is longer than 16384 bytes");
  BOOST_CHECK_EQUAL(message(std::string("#!ipxe\na\0b", 10)), "the script contains a NUL");
}

BOOST_AUTO_TEST_CASE(bounds_images_settings_and_the_command_line) {
  std::string many;
  for (std::size_t i = 0; i <= kImagesMax; ++i) many += "initrd f" + std::to_string(i) + "\n";
  BOOST_CHECK_EQUAL(error_of(many), "line 18: more than 16 images");
  many.clear();
  for (std::size_t i = 0; i <= kSettingsMax; ++i) many += "set s" + std::to_string(i) + " x\n";
  BOOST_CHECK_EQUAL(error_of(many), "line 258: more than 256 settings");
  BOOST_CHECK_EQUAL(error_of("kernel k " + std::string(kCommandLineMax, 'x') + "\nboot"),
                    "line 3: the kernel's arguments exceed 2048 bytes");
}

BOOST_AUTO_TEST_CASE(joins_continued_lines_and_counts_the_first) {
  BOOST_CHECK_EQUAL(said("echo one \\\n  two\r\nnonsense"),
                    "line 4: 'nonsense' is not understood by the virtual boot ROM");
  BOOST_CHECK_EQUAL(said("echo one \\\n  two\r\n"), "[one two]");
}

BOOST_AUTO_TEST_CASE(chains_scripts_and_comes_back) {
  ScriptedHost host;
  host.files["http://10.0.0.1/boot/sub/two.ipxe"] = "#!ipxe\necho two ${x}\nset y back\nexit\n";
  host.files["http://10.0.0.1/boot/fails.ipxe"] = "#!ipxe\n\nnonsense\n";
  host.files["http://10.0.0.1/boot/exits.ipxe"] = "#!ipxe\nexit 4\n";
  host.files["http://10.0.0.1/boot/boots.ipxe"] = "#!ipxe\ninitrd /root.cpio\nboot\n";
  host.files["http://10.0.0.1/boot/page"] = "<html>";
  BOOST_REQUIRE(run(host, "set x here\nchain sub/two.ipxe\necho ${y}"));
  BOOST_CHECK_EQUAL(host.printed.at(0), "two here");
  BOOST_CHECK_EQUAL(host.printed.at(1), "back");

  BOOST_CHECK_EQUAL(
      run(host, "chain fails.ipxe").error().message,
      "line 2: http://10.0.0.1/boot/fails.ipxe: line 3: 'nonsense' is not understood by the virtual "
      "boot ROM");
  BOOST_CHECK_EQUAL(run(host, "chain exits.ipxe").error().message,
                    "line 2: http://10.0.0.1/boot/exits.ipxe: exit 4");
  BOOST_CHECK_EQUAL(run(host, "chain page").error().message,
                    "line 2: http://10.0.0.1/boot/page is not an iPXE script");
  BOOST_CHECK_EQUAL(run(host, "chain nowhere").error().message,
                    "line 2: cannot fetch http://10.0.0.1/boot/nowhere: not found");
  BOOST_CHECK(run(host, "chain nowhere || exit"));

  const auto end = run(host, "kernel /vmlinuz a=b\nchain --autofree boots.ipxe || goto never");
  BOOST_REQUIRE(end && end->boot);
  BOOST_CHECK_EQUAL(end->boot->kernel.arguments, "a=b");
  BOOST_CHECK_EQUAL(end->boot->initrds.at(0).url.to_string(), "http://10.0.0.1/root.cpio");
}

BOOST_AUTO_TEST_CASE(never_comes_back_from_a_script_that_replaced_this_one) {
  ScriptedHost host;
  host.files["http://10.0.0.1/boot/two.ipxe"] = "#!ipxe\necho two\n";
  host.files["http://10.0.0.1/boot/fails.ipxe"] = "#!ipxe\nnonsense\n";
  BOOST_REQUIRE(run(host, "chain --replace --autofree two.ipxe\necho never"));
  BOOST_CHECK_EQUAL(host.printed.size(), 1);
  BOOST_CHECK(!run(host, "chain --replace fails.ipxe || echo never"));
}

BOOST_AUTO_TEST_CASE(bounds_how_deep_scripts_chain) {
  ScriptedHost host;
  host.files["http://10.0.0.1/boot/first.ipxe"] = "#!ipxe\nchain first.ipxe ||\n";
  const auto end = run_script(host.files.begin()->second, kHere, host);
  BOOST_REQUIRE(!end);
  BOOST_CHECK(end.error().message.ends_with("scripts chained more than 8 deep"));
}

BOOST_AUTO_TEST_CASE(selects_frees_and_renames_images) {
  ScriptedHost host;
  auto end = run(host,
                 "kernel a one\nimgfetch b\nimgfree b\nimgargs a x=1 y=2\nkernel --name other c\n"
                 "imgselect a\nboot");
  BOOST_REQUIRE_MESSAGE(end, (end ? "" : end.error().message));
  BOOST_CHECK_EQUAL(end->boot->kernel.name, "a");
  BOOST_CHECK_EQUAL(end->boot->kernel.arguments, "x=1 y=2");
  BOOST_CHECK_EQUAL(end->boot->initrds.at(0).name, "other");
  BOOST_CHECK_EQUAL(host.fetched.size(), 3);  // what is there is not fetched again
  BOOST_CHECK(!run(host, "kernel a\nimgfree\nboot"));
  end = run(host, "initrd i\nboot k console=ttyS0");
  BOOST_REQUIRE(end && end->boot);
  BOOST_CHECK_EQUAL(end->boot->kernel.arguments, "console=ttyS0");
}

BOOST_AUTO_TEST_CASE(sleeps_through_its_host) {
  ScriptedHost host;
  BOOST_REQUIRE(run(host, "sleep 5\nsleep 2"));
  BOOST_CHECK(host.slept == std::chrono::seconds(7));
  BOOST_CHECK_EQUAL(run(host, "sleep 100000").error().message,
                    "line 2: '100000' is not a number from 0 to 3600");
}

// Scripts in the manner of those that people have
// -------------------------------------------------------------

BOOST_AUTO_TEST_CASE(runs_a_classic_boot_script_with_retries) {
  ScriptedHost host;
  const auto end = run(host, R"(
:retry_dhcp
dhcp || goto retry_dhcp
isset ${next-server} || set next-server 192.168.0.1
set base-url http://${next-server}/images
echo Booting ${hostname} (${net0/mac}) from ${base-url}
kernel ${base-url}/${platform}/vmlinuz initrd=initrd.img ip=${net0/ip}::${net0/gateway} BOOTIF=01-${mac:hexhyp} || goto failed
initrd ${base-url}/${platform}/initrd.img || goto failed
boot || goto failed

:failed
echo Boot failed, waiting
sleep 10
goto retry_dhcp
)");
  BOOST_REQUIRE(end && end->boot);
  BOOST_CHECK_EQUAL(end->boot->kernel.url.to_string(), "http://10.0.0.1/images/uml/vmlinuz");
  BOOST_CHECK_EQUAL(end->boot->kernel.arguments,
                    "initrd=initrd.img ip=10.0.0.5:: BOOTIF=01-52-54-00-12-34-ab");
}

BOOST_AUTO_TEST_CASE(runs_a_dispatcher_that_tries_one_script_per_machine) {
  ScriptedHost host;
  host.files["http://10.0.0.1/boot/hostname-n1.ipxe"] = "#!ipxe\nkernel k role=node\ninitrd i\nboot";
  const auto end = run(host, R"(
# Variables are specified in boot.ipxe.cfg
chain --autofree boot.ipxe.cfg ||
isset ${hostname} && chain --replace --autofree hostname-${hostname}.ipxe ||
chain --replace --autofree mac-${mac:hexraw}.ipxe ||
chain --replace --autofree menu.ipxe
)");
  BOOST_REQUIRE(end && end->boot);
  BOOST_CHECK_EQUAL(end->boot->kernel.arguments, "role=node");
}

BOOST_AUTO_TEST_CASE(picks_by_architecture_and_platform) {
  const std::string commands = R"(
cpuid --ext 29 && set arch x86_64 || set arch i386
iseq ${buildarch} x86_64 && set arch amd64 ||
iseq ${platform} uml && goto uml ||
iseq ${platform} efi && set suffix .efi || set suffix
kernel /boot/linux-${arch}${suffix}
goto go
:uml
kernel /uml/linux-${arch} rookery.share=nbd://${next-server}:10809/root
:go
initrd /stage2.cpio
boot
)";
  ScriptedHost host;
  auto end = run(host, commands);
  BOOST_REQUIRE(end && end->boot);
  BOOST_CHECK_EQUAL(end->boot->kernel.url.path, "/uml/linux-amd64");
  BOOST_CHECK_EQUAL(end->boot->kernel.arguments, "rookery.share=nbd://10.0.0.1:10809/root");
  host.settings["platform"] = Setting::text("efi");
  end = run(host, commands);
  BOOST_REQUIRE(end && end->boot);
  BOOST_CHECK_EQUAL(end->boot->kernel.url.path, "/boot/linux-amd64.efi");
}
