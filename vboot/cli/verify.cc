// `rookery verify`: runs a scenario several times, each as a process of its own in folders of its own, and
// compares the traces. Either they are the same to the byte, or it shows where they part.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/command.h"
#include "base/file.h"
#include "vboot/cli/commands.h"
#include "vboot/control/json.h"
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

Result<OneRun> run_once(const RunOptions& options, const fs::path& folder) {
  OneRun run;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail_errno("cannot make " + folder.string(), error.value());
  run.trace = folder / "trace";
  Command command;
  command.argv = {
      "/proc/self/exe", "run",     options.scenario_file, "--json",       "--time",
      options.time,     "--trace", run.trace.string(),    "--keep-bytes", std::to_string(kBytesKept)};
  if (options.seed) command.argv.insert(command.argv.end(), {"--seed", std::to_string(*options.seed)});
  if (options.nodes) command.argv.insert(command.argv.end(), {"--nodes", std::to_string(*options.nodes)});
  // Another folder each time: what depends on it shows.
  command.environment["XDG_RUNTIME_DIR"] = folder.string();
  const auto done = run_command(command);
  if (!done) return tl::unexpected<Error>(done.error());
  auto report = Json::parse(done->output);
  if (report && report->view().is_object()) {
    run.report = std::move(*report);
    return run;
  }
  std::string said = done->errors;
  if (said.starts_with("rookery: ")) said.erase(0, 9);
  while (!said.empty() && said.back() == '\n') said.pop_back();
  const bool known = done->exit_code >= 1 && done->exit_code <= 5;
  return fail(known ? static_cast<ErrorKind>(done->exit_code) : ErrorKind::infrastructure,
              said.empty() ? fmt::format("the run ended with exit code {}", done->exit_code) : said);
}

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

Result<int> run_verify(const VerifyOptions& options) {
  if (options.runs < 2)
    return fail(ErrorKind::usage, "--runs is at least 2: one run has nothing to be compared with");
  if (options.run.time != "virtual")
    return fail(ErrorKind::usage, "verify compares runs in virtual time; in real time no two are alike");
  // A short name: sockets lie below it.
  auto temporary = TemporaryFolder::make(fs::temp_directory_path(), "rv-");
  if (!temporary) return tl::unexpected<Error>(temporary.error());
  const fs::path folder = options.keep.empty() ? temporary->path() : fs::absolute(options.keep);
  const bool quiet = options.run.json && ::isatty(2) == 0;

  std::optional<OneRun> first;
  Json digests = Json::array();
  Json report = Json::object();
  for (unsigned i = 1; i <= options.runs; ++i) {
    auto run = run_once(options.run, folder / std::to_string(i));
    if (!run) return tl::unexpected<Error>(run.error());
    if (!quiet) {
      fmt::print(stderr, "run {} of {}: {}, digest {}, {:.1f} s\n", i, options.runs, run->text("result"),
                 run->text("digest"), number_of(run->report, "host_seconds"));
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
    if (options.keep.empty()) fs::remove(run->trace);
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
  std::fflush(stdout);
  return same ? 0 : static_cast<int>(ErrorKind::not_reproducible);
}

}  // namespace rookery::vboot
