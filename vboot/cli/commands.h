// The commands of the program `rookery`. Each takes what the command line said and gives back the exit code;
// errors are printed by main().
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/lab/uplink.h"
#include "vboot/run/session/lab_backends.h"

namespace rookery::vboot {

// What is left of labs that were killed is removed: `cleaners` do so and say what they removed.
using Cleaner = std::function<Result<std::vector<std::string>>()>;
// The words of that command as a killed supervisor's janitor is to run it; none where no machine needs it.
std::vector<std::string> clean_after(const LabPlan& plan);
Result<int> run_clean(bool json, const std::vector<Cleaner>& cleaners);

struct UpOptions {
  std::string lab_file;
  std::optional<std::uint32_t> nodes;
  std::uint64_t seed = 1;
  std::string until;                      // "ready" or nothing
  bool take_down = false;                 // once `until` is reached
  std::optional<double> timeout_seconds;  // to reach it in
  bool detach = false;
  bool json = false;
  bool verbose = false;
  bool plain = false;  // no live view
  unsigned booting_at_once = 0;
  std::string capture;               // pcapng of every machine's cable
  std::vector<std::string> reports;  // files, .html or .svg
  UplinkRequest uplink;              // its interface is empty without one
};
Result<int> run_up(const UpOptions& options, const BackendFactory& backends);

// How a scenario is run (docs/scenarios.md).
struct RunOptions {
  std::string scenario_file;
  std::optional<std::uint32_t> nodes;
  std::optional<std::uint64_t> seed;
  std::string time = "virtual";  // or "wall"
  std::string trace;             // a file of all that happened; none unless given
  bool keep_frames = false;      // with their bytes
  Bytes keep_bytes{0};           // so many of each, without keep_frames
  std::string capture;           // pcapng of every machine's cable
  bool json = false;
  bool verbose = false;
  bool plain = false;                // no live view
  std::vector<std::string> reports;  // files, .html or .svg
  unsigned patience_seconds = 60;    // of the host, that a machine may compute without yielding
  std::filesystem::path runtime;     // holds its folder of sockets; empty: where this user's are
};
Result<int> run_scenario(const RunOptions& options, const BackendFactory& backends);

struct VerifyOptions {
  RunOptions run;
  unsigned runs = 2;
  std::string keep;  // a folder for the traces; removed unless given
};
Result<int> run_verify(const VerifyOptions& options, const BackendFactory& backends);

struct LabChoice {
  std::optional<std::string> lab;  // --lab; none: the one that runs
  bool json = false;
};
Result<int> run_ps(const LabChoice& lab);
Result<int> run_exec(const LabChoice& lab, bool all, const std::string& machine,
                     const std::vector<std::string>& argv, std::optional<double> timeout_seconds);
Result<int> run_power(const LabChoice& lab, const std::string& action,
                      const std::vector<std::string>& machines);
Result<int> run_snapshot(const LabChoice& lab, bool restore, const std::string& machine,
                         const std::string& name);
Result<int> run_console(const LabChoice& lab, const std::string& machine);
Result<int> run_logs(const LabChoice& lab, const std::string& machine, bool follow);
// machine: empty: all, in groups.
Result<int> run_why(const LabChoice& lab, const std::string& machine);
// state: up or down.
Result<int> run_link(const LabChoice& lab, const std::string& machine, const std::string& state);
struct CaptureOptions {
  std::vector<std::string> machines;  // none: all
  std::string file;
  std::string time;  // "10s"; empty: until Ctrl-C
};
Result<int> run_capture(const LabChoice& lab, const CaptureOptions& options);
struct ForwardOptions {
  std::string target;  // n37:80
  std::string where;   // a local port, or the path of a unix socket; empty: a free port
  bool stdio = false;  // standard input and output instead
};
Result<int> run_forward(const LabChoice& lab, const ForwardOptions& options);
// machine may be user@machine; the command's words go to ssh as they are.
Result<int> run_ssh(const LabChoice& lab, const std::string& machine,
                    const std::vector<std::string>& command);
// One of the two is of a machine: n1:/path.
Result<int> run_cp(const LabChoice& lab, const std::string& from, const std::string& to);
Result<int> run_report(const LabChoice& lab, const std::vector<std::string>& files);
Result<int> run_down(const LabChoice& lab);
// action: show, set or clear.
Result<int> run_fault(const LabChoice& lab, const std::string& action, const std::vector<std::string>& words);

// What doctor tries of a hypervisor, and what came of it, in words.
struct HostTrial {
  std::string what;
  std::function<Result<std::string>()> run;
};
Result<int> run_doctor(bool json, const std::vector<HostTrial>& hypervisors);

struct ImageBuildOptions {
  std::string name = "debian-12";
  std::vector<std::string> roles;  // shipped ones by name and others by folder, whose packages it is to have
  bool storage = false;            // the kernel for roots by iSCSI and NFS
  bool all = false;                // that, and the packages of all shipped roles
  bool force = false;
  bool refresh = false;
  bool json = false;
};
Result<int> run_image_build(const ImageBuildOptions& options);
Result<int> run_image_list(bool json);
Result<int> run_image_show(const std::string& name, bool json);
Result<int> run_image_remove(const std::string& name, bool json);
Result<int> run_image_prune(bool json);

// Where the program's own data lies (the image recipe, the guest programs): ROOKERY_DATA, what was installed
// with it, or what the build said.
struct ProgramData {
  std::string sources;  // of the kernel recipe and the like
  std::string guest_program;
};
ProgramData program_data();

}  // namespace rookery::vboot
