// `rookery verify`: reads a scenario once, runs it several times, each in folders of its own and elsewhere in
// memory, and compares the traces. Either they are the same to the byte, or it shows where they part.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "base/file.h"
#include "vboot/cli/commands.h"
#include "vboot/cli/read_scenario.h"
#include "vboot/cli/standard_streams.h"
#include "vboot/cli/stop_signals.h"
#include "vboot/run/admission/resources.h"
#include "vboot/trace/compare.h"

namespace rookery::vboot {
namespace {

namespace fs = std::filesystem;

// Of each frame, for showing a difference: headers, and what most answers hold.
constexpr int kBytesKept = 512;

struct OneRun {
  fs::path trace;
  Json report;
  std::string text(std::string_view key) const { return text_of(report, key); }
};

// Runs of one scenario that was read once, one after the other, until one differs or somebody interrupts.
class Verification {
 public:
  Verification(const VerifyOptions& options, const BackendFactory& factory)
      : options_(options), factory_(factory) {}

  Status begin() {
    auto scenario = read_scenario(options_.run);
    if (!scenario) return tl::unexpected<Error>(scenario.error());
    scenario_ = std::move(*scenario);
    StopSignals::hold();  // for the run that goes on, or comes next
    return {};
  }

  Result<OneRun> run(const fs::path& folder) {
    OneRun run;
    run.trace = folder / "trace";
    RunOptions options = options_.run;
    options.trace = run.trace.string();
    options.keep_bytes = Bytes{kBytesKept};
    // What depends on the folder, or on where in memory something lies, is to show.
    options.runtime = fs::absolute(folder) / "rookery";
    std::error_code error;
    fs::create_directories(options.runtime, error);
    if (error) return fail_errno("cannot make " + options.runtime.string(), error.value());
    move_memory();
    Progress progress(Progress::How::quiet);
    auto report = run_once(options, *scenario_, factory_, progress);
    if (!report && report.error().kind == ErrorKind::interrupted)
      return fail(ErrorKind::interrupted, "interrupted; nothing of the runs is left");
    if (!report) return tl::unexpected<Error>(report.error());
    run.report = std::move(*report);
    return run;
  }

 private:
  // Gives what comes from now on other addresses than the last run had, and another order.
  void move_memory() {
    std::array<std::uint16_t, 256> sizes;
    if (::getrandom(sizes.data(), sizeof sizes, 0) != sizeof sizes) return;
    std::vector<std::unique_ptr<char[]>> holes;
    for (const std::uint16_t size : sizes) {
      auto& pieces = size >> 15 != 0 ? holes : kept_;
      pieces.push_back(std::make_unique<char[]>(16 + size % 4096));
    }
    (void)::mmap(nullptr, (1 + sizes[0] % 4096) * std::size_t{4096}, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                 -1, 0);
  }

  const VerifyOptions& options_;
  const BackendFactory& factory_;
  std::unique_ptr<ReadScenario> scenario_;
  std::vector<std::unique_ptr<char[]>> kept_;
};

void print_words(const Json& report) {
  fmt::print("{}: {}, {} runs, grade {}\n  digest {}\n", text_of(report, "scenario"),
             text_of(report, "verdict"), count_of(report, "runs"), text_of(report, "grade"),
             text_of(report, "digest"));
  const auto difference = report.find("first_difference");
  if (!difference) return;
  fmt::print("  the first difference, after {} records that are alike:\n  one:   {}\n  other: {}\n",
             count_of(*difference, "records_alike"), text_of(*difference, "first"),
             text_of(*difference, "second"));
  const std::string hint = text_of(*difference, "hint");
  if (!hint.empty()) fmt::print("  {}\n", hint);
}

}  // namespace

Result<int> run_verify(const VerifyOptions& options, const BackendFactory& backends) {
  if (options.runs < 2)
    return fail(ErrorKind::usage, "--runs is at least 2: one run has nothing to be compared with");
  if (options.run.time != "virtual")
    return fail(ErrorKind::usage, "verify compares runs in virtual time; in real time no two are alike");
  ROOKERY_TRY(check_own_limits());
  Verification verification(options, backends);
  ROOKERY_TRY(verification.begin());
  // A short name: sockets lie below it.
  auto temporary = TemporaryFolder::make("rv-");
  if (!temporary) return tl::unexpected<Error>(temporary.error());
  const fs::path folder =
      options.keep.empty() ? temporary->path() : fs::absolute(options.keep).lexically_normal();
  const bool quiet = options.run.json && ::isatty(2) == 0;

  std::optional<OneRun> first;
  Json digests = Json::array();
  Json report = Json::object();
  for (unsigned i = 1; i <= options.runs; ++i) {
    auto run = verification.run(folder / std::to_string(i));
    if (!run) return tl::unexpected<Error>(run.error());
    if (!quiet) {
      complain(fmt::format("run {} of {}: {}, digest {}, {:.1f} s", i, options.runs, run->text("result"),
                           run->text("digest"), number_of(run->report, "host_seconds")));
    }
    digests.add(Json::string(run->text("digest")));
    if (!first) {
      first = std::move(*run);
      continue;
    }
    auto difference = first_difference(first->trace, run->trace);
    if (!difference) return tl::unexpected<Error>(difference.error());
    if (*difference) {
      report.set("first_difference", to_json(**difference));
      break;
    }
    if (run->text("digest") != first->text("digest")) bug("two traces are alike, and their digests are not");
    std::error_code ignored;
    if (options.keep.empty()) fs::remove(run->trace, ignored);
  }
  const bool same = !report.find("first_difference");
  report.set("verdict", same ? "bit-exact" : "not the same")
      .set("scenario", first->text("scenario"))
      .set("seed", Json::copy_of(*first->report.find("seed")))
      .set("runs", Json::count(digests.view().size()))
      .set("grade", same ? first->text("grade") : std::string("none"))
      .set("digest", first->text("digest"))
      .set("digests", std::move(digests))
      .set("result", first->text("result"));
  if (options.run.json) {
    fmt::print("{}\n", report.dump());
  } else {
    print_words(report);
  }
  return same ? 0 : static_cast<int>(ErrorKind::not_reproducible);
}

}  // namespace rookery::vboot
