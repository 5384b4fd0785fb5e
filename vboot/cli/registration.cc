#include "vboot/cli/registration.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vboot/control/requests.h"

namespace rookery::vboot {
namespace {

// What `run` and `verify` have in common.
void add_scenario_options(CLI::App* command, RunOptions& options) {
  command->add_option("scenario", options.scenario_file, "The scenario file (YAML; see docs/scenarios.md)")
      ->required();
  command->add_option("--seed", options.seed, "The run's seed (default: the scenario's, or 1)");
  command->add_option("--nodes", options.nodes, "How many clients, instead of the lab's count");
  command->add_flag("--json", options.json, "One JSON object on standard output at the end");
}

}  // namespace

void add_up(CLI::App& app, Deed& deed, const BackendFactory& make_backend) {
  auto options = std::make_shared<UpOptions>();
  CLI::App* up = app.add_subcommand("up", "Bring a lab up and supervise it");
  up->add_option("lab", options->lab_file, "The lab file (YAML; see docs/lab-file.md)")->required();
  up->add_option("--nodes", options->nodes, "How many clients, instead of the lab file's count");
  up->add_option("--seed", options->seed, "The run's seed")->capture_default_str();
  up->add_option("--until", options->until,
                 "'ready': be done when every client is ready or has failed, and leave the "
                 "lab running in the background");
  up->add_flag("--down", options->take_down, "With --until ready: take the lab down then");
  up->add_option("--timeout", options->timeout_seconds,
                 "With --until ready: give up after this many seconds, take the lab down, and say who is "
                 "not ready (exit code 3)")
      ->check(CLI::PositiveNumber);
  up->add_flag("--detach", options->detach, "Go to the background when every client is ready or has failed");
  up->add_flag("--json", options->json, "One JSON object on standard output at the end");
  up->add_flag("-v,--verbose", options->verbose, "Each stage of each machine");
  up->add_flag("--plain", options->plain, "Plain lines instead of the live view (as with NO_COLOR)");
  up->add_option("--report", options->reports,
                 "Write what happened to FILE.html, or its picture to FILE.svg, when the lab is up");
  up->add_option("--booting-at-once", options->booting_at_once,
                 "Clients between power-on and ready (default: 4 a processor, 2 of emulated ones)");
  up->add_option("--capture", options->capture, "Write every machine's frames to this pcapng file");
  CLI::Option* uplink = up->add_option("--uplink", options->uplink.interface,
                                       "Join the lab to this network interface of the host, so that physical "
                                       "machines boot from it too (docs/uplink.md)");
  up->add_option(
        "--uplink-mode", options->uplink.mode,
        "'dhcp': the boot server gives addresses there; 'proxy': it only tells machines what to boot, "
        "beside that network's own DHCP server")
      ->needs(uplink)
      ->capture_default_str();
  up->add_option("--uplink-address", options->uplink.address,
                 "With 'proxy': the boot server's address there, as 192.168.7.2/24 (default: by DHCP)")
      ->needs(uplink);
  up->add_option("--uplink-vlan", options->uplink.vlan,
                 "With 'dhcp': the lab's VLAN that the wire is in, without tags (default: all, with tags)")
      ->needs(uplink);
  up->callback([=, &deed] { deed = [=] { return run_up(*options, make_backend); }; });
}

void add_scenarios(CLI::App& app, Deed& deed, const BackendFactory& make_backend) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* run = app.add_subcommand("run", "Run a scenario: lab, faults, expectations");
  add_scenario_options(run, *options);
  run->add_option("--time", options->time, "'virtual': as fast as the processor allows; 'wall': real time")
      ->capture_default_str();
  run->add_option("--trace", options->trace, "Write all that happens to this file");
  run->add_flag("--keep-frames", options->keep_frames, "With --trace: the frames' bytes too");
  run->add_option("--keep-bytes", options->keep_bytes.count, "With --trace: so many bytes of each frame");
  run->add_option("--capture", options->capture, "Write every machine's frames to this pcapng file");
  run->add_flag("-v,--verbose", options->verbose, "Each stage of each machine");
  run->add_flag("--plain", options->plain, "Plain lines instead of the live view (as with NO_COLOR)");
  run->add_option("--report", options->reports,
                  "Write what happened to FILE.html, or its picture to FILE.svg, at the end");
  run->add_option("--patience", options->patience_seconds,
                  "Host seconds that a machine may compute without yielding")
      ->capture_default_str();
  run->callback([=, &deed] { deed = [=] { return run_scenario(*options, make_backend); }; });

  auto verification = std::make_shared<VerifyOptions>();
  CLI::App* verify =
      app.add_subcommand("verify", "Run a scenario several times and compare the runs byte for byte");
  add_scenario_options(verify, verification->run);
  verify->add_option("--runs", verification->runs, "How often")->capture_default_str();
  verify->add_option("--keep", verification->keep, "Keep the runs' traces below this folder");
  verify->callback([=, &deed] { deed = [=] { return run_verify(*verification, make_backend); }; });
}

// `program` is what stands behind "--" on the command line.
void add_clients(CLI::App& app, Deed& deed, const std::vector<std::string>& program) {
  auto lab = std::make_shared<LabChoice>();
  const auto of_lab = [lab](CLI::App* command) {
    command->add_option("--lab", lab->lab, "Which lab, if several run");
  };
  // Of those that report something; --json of the others is refused by name.
  const auto common = [of_lab, lab](CLI::App* command) {
    of_lab(command);
    command->add_flag("--json", lab->json, "JSON on standard output");
  };
  CLI::App* ps = app.add_subcommand("ps", "The machines of a running lab");
  common(ps);
  ps->callback([=, &deed] { deed = [lab] { return run_ps(*lab); }; });

  auto machines = std::make_shared<std::vector<std::string>>();
  auto machine = std::make_shared<std::string>();
  auto all = std::make_shared<bool>(false);
  auto timeout = std::make_shared<std::optional<double>>();
  CLI::App* exec =
      app.add_subcommand("exec", "Run a program: exec n7 -- uname -a, or exec --all -- uname -a");
  common(exec);
  exec->add_flag("--all", *all, "In every machine that is ready");
  exec->add_option("--timeout", *timeout,
                   "Give up after this many seconds (default: when a machine has not answered for 20)")
      ->check(CLI::Range(0.001, static_cast<double>(RequestLimits::kTimeoutMs) / 1000));
  exec->add_option("machine", *machine, "Its name (not with --all); n*, n1,n2 and n[1-3] stand for several");
  exec->callback([=, &deed, &program] {
    deed = [=]() -> Result<int> {
      if (*all == !machine->empty())
        return fail(ErrorKind::usage, "exec takes a machine or --all, and not both");
      if (program.empty())
        return fail(ErrorKind::usage, "exec needs a program behind --: rookery exec n7 -- uname -a");
      return run_exec(*lab, *all, *machine, program, *timeout);
    };
  });

  auto action = std::make_shared<std::string>();
  CLI::App* power = app.add_subcommand("power", "Power of machines: on, cut, reset, press");
  common(power);
  power->add_option("action", *action, "on, cut (at once), reset, or press (the system is asked)")
      ->required();
  power->add_option("machines", *machines, "Their names, or n*, n1,n2 or n[1-3] for several")->required();
  power->callback([=, &deed] { deed = [=] { return run_power(*lab, *action, *machines); }; });

  auto snapshot_name = std::make_shared<std::string>("snapshot");
  const auto add_snapshot = [&](const char* word, const char* text, bool restore) {
    CLI::App* command = app.add_subcommand(word, text);
    common(command);
    command->add_option("machine", *machine, "Its name")->required();
    command->add_option("name", *snapshot_name, "Of the snapshot")->capture_default_str();
    command->callback(
        [=, &deed] { deed = [=] { return run_snapshot(*lab, restore, *machine, *snapshot_name); }; });
  };
  add_snapshot("snapshot", "Keep the whole state of a machine, to come back to", false);
  add_snapshot("restore", "Have a machine go back to a snapshot", true);

  CLI::App* console = app.add_subcommand("console", "The console of a machine; Ctrl-] leaves it");
  of_lab(console);
  console->add_option("machine", *machine, "Its name")->required();
  console->callback([=, &deed] { deed = [=] { return run_console(*lab, *machine); }; });

  CLI::App* logs = app.add_subcommand("logs", "What a machine wrote to its console");
  of_lab(logs);
  auto follow = std::make_shared<bool>(false);
  logs->add_option("machine", *machine, "Its name")->required();
  logs->add_flag("-f,--follow", *follow, "And what it will write");
  logs->callback([=, &deed] { deed = [=] { return run_logs(*lab, *machine, *follow); }; });

  CLI::App* why = app.add_subcommand("why", "Why a machine is not ready (docs/why.md)");
  common(why);
  why->add_option("machine", *machine, "Its name; without one: all machines, in groups");
  why->callback([=, &deed] { deed = [=] { return run_why(*lab, *machine); }; });

  CLI::App* link = app.add_subcommand("link", "Pull a machine's cable, or plug it in: link n37 down");
  common(link);
  link->add_option("machine", *machine, "Its name")->required();
  link->add_option("state", *action, "up or down")->required();
  link->callback([=, &deed] { deed = [=] { return run_link(*lab, *machine, *action); }; });

  auto capture_options = std::make_shared<CaptureOptions>();
  CLI::App* capture = app.add_subcommand("capture", "Write machines' frames to a pcapng file");
  common(capture);
  capture->add_option("machines", capture_options->machines, "Their names (default: all)");
  capture->add_option("-o,--output", capture_options->file, "The file")->required();
  capture->add_option("--for", capture_options->time, "So long, as in 10s (default: until Ctrl-C)");
  capture->callback([=, &deed] { deed = [=] { return run_capture(*lab, *capture_options); }; });

  CLI::App* fault = app.add_subcommand("fault", "Faults of a running lab: show, set, clear (docs/faults.md)");
  fault->require_subcommand(1);
  common(fault);
  auto words = std::make_shared<std::vector<std::string>>();
  const auto add_fault = [&](const std::string& name, const std::string& text, const std::string& about) {
    CLI::App* command = fault->add_subcommand(name, text)->fallthrough();
    if (!about.empty()) command->add_option("words", *words, about)->required();
    command->callback([=, &deed] { deed = [=] { return run_fault(*lab, name, *words); }; });
  };
  add_fault("show", "Those in force, with how many frames they saw and struck", "");
  add_fault("set", "One more: fault set n5 loss=10% direction=down for=5s",
            "A place and words; see docs/faults.md");
  add_fault("clear", "The end of some: fault clear n5.loss, fault clear n5, fault clear all",
            "Names of faults, places that they were set on, or 'all'");

  auto forward_options = std::make_shared<ForwardOptions>();
  CLI::App* forward =
      app.add_subcommand("forward", "A machine's TCP port here: forward n37:80 8080 (docs/access.md)");
  common(forward);
  forward->add_option("target", forward_options->target, "Which, as in n37:80")->required();
  forward->add_option("where", forward_options->where,
                      "A local port, or the path of a unix socket (default: a port that is free)");
  forward->add_flag("--stdio", forward_options->stdio, "One connection, on standard input and output");
  forward->callback([=, &deed] { deed = [=] { return run_forward(*lab, *forward_options); }; });

  CLI::App* ssh = app.add_subcommand("ssh", "Log in to a machine by SSH: ssh n37, or ssh n37 -- uname -a");
  of_lab(ssh);
  auto command = std::make_shared<std::vector<std::string>>();
  ssh->add_option("machine", *machine, "Its name, or user@name (default: root)")->required();
  ssh->add_option("command", *command, "What to run instead of a shell; with dashes: behind --");
  ssh->callback([=, &deed, &program] {
    deed = [=] {
      command->insert(command->end(), program.begin(), program.end());
      return run_ssh(*lab, *machine, *command);
    };
  });

  CLI::App* cp = app.add_subcommand("cp", "Copy a file or folder to or from a machine: cp notes n1:/root/");
  of_lab(cp);
  auto from = std::make_shared<std::string>(), to = std::make_shared<std::string>();
  cp->add_option("from", *from, "A path here, or machine:path")->required();
  cp->add_option("to", *to, "Likewise; into it, if it is a folder")->required();
  cp->callback([=, &deed] { deed = [=] { return run_cp(*lab, *from, *to); }; });

  CLI::App* report = app.add_subcommand("report", "What happened in a running lab: FILE.html, or FILE.svg");
  common(report);
  auto files = std::make_shared<std::vector<std::string>>();
  report->add_option("files", *files, "Where to write the page, or the picture alone")->required();
  report->callback([=, &deed] { deed = [=] { return run_report(*lab, *files); }; });

  CLI::App* down = app.add_subcommand("down", "Take a running lab down");
  common(down);
  down->callback([=, &deed] { deed = [=] { return run_down(*lab); }; });
}

void add_images(CLI::App& app, Deed& deed) {
  CLI::App* image = app.add_subcommand("image", "Images that machines boot from");
  image->require_subcommand(1);
  auto options = std::make_shared<ImageBuildOptions>();
  CLI::App* build = image->add_subcommand("build", "Build an image of Debian 12 into the store");
  build->add_option("--name", options->name, "Its name")->capture_default_str();
  build->add_option(
      "--role", options->roles,
      "A shipped role, or the folder of one, whose packages it is to have, too (may be given again)");
  build->add_flag("--storage", options->storage, "With the kernel for roots by iSCSI and NFS, too");
  build->add_flag("--all", options->all, "With that kernel and the packages of all shipped roles");
  build->add_flag("--refresh", options->refresh,
                  "Of today's packages and today's kernel source, with their security fixes");
  build->add_flag(
      "--force", options->force,
      "Make its parts again, though nothing changed, of the Debian and the kernels that are there");
  build->add_flag("--json", options->json, "JSON on standard output");
  build->callback([=, &deed] { deed = [options] { return run_image_build(*options); }; });
  auto json = std::make_shared<bool>(false);
  CLI::App* list = image->add_subcommand("list", "The images in the store");
  list->add_flag("--json", *json, "JSON on standard output");
  list->callback([=, &deed] { deed = [json] { return run_image_list(*json); }; });
  auto name = std::make_shared<std::string>();
  CLI::App* show = image->add_subcommand("show", "What an image consists of");
  show->add_option("image", *name, "Its name, or the beginning of its digest")->required();
  show->add_flag("--json", *json, "JSON on standard output");
  show->callback([=, &deed] { deed = [=] { return run_image_show(*name, *json); }; });
  CLI::App* remove = image->add_subcommand("remove", "Forget an image; its files go with the next prune");
  remove->add_option("image", *name, "Its name")->required();
  remove->add_flag("--json", *json, "JSON on standard output");
  remove->callback([=, &deed] { deed = [=] { return run_image_remove(*name, *json); }; });
  CLI::App* prune =
      image->add_subcommand("prune", "Remove the files in the store that no image needs any more");
  prune->add_flag("--json", *json, "JSON on standard output");
  prune->callback([=, &deed] { deed = [json] { return run_image_prune(*json); }; });
}

}  // namespace rookery::vboot
