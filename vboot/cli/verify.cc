// `rookery verify`: reads a scenario once, runs it several times, each as a process of its own in folders of
// its own, and compares the traces. Either they are the same to the byte, or it shows where they part.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "vboot/cli/commands.h"
#include "vboot/cli/read_scenario.h"
#include "vboot/cli/standard_streams.h"
#include "vboot/cli/stop_signals.h"
#include "vboot/control/messages.h"
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

// A child of ours that is one run: it says its report, or its error, on a line to us.
class RunChild {
 public:
  RunChild(EventLoop& loop, pid_t pid, UniqueFd line) : pid_(pid), line_(std::move(line)) {
    watch_ = loop.watch(line_.get(), EPOLLIN, [this, &loop](std::uint32_t) {
      ended_ = !read_what_is_there(line_, [this](std::string_view piece) { said_ += piece; });
      if (ended_) loop.stop();
    });
  }
  // Ends it, if it still runs, and waits until nothing of it is left.
  ~RunChild() {
    watch_.stop();
    if (pid_ > 0) wait();
  }
  RunChild(const RunChild&) = delete;
  RunChild& operator=(const RunChild&) = delete;

  bool ended() const { return ended_; }
  void interrupt() {
    ::kill(pid_, SIGTERM);
  }  // it is our child, and not waited for yet: the number is its own
  // What it had to say, when it has ended.
  Result<Json> report() {
    const int status = wait();
    auto message = Json::parse(said_);
    if (!message || !message->view().is_object()) {
      return fail(WIFSIGNALED(status) ? fmt::format("the run was killed by signal {}", WTERMSIG(status))
                                      : fmt::format("the run ended with exit code {}", WEXITSTATUS(status)));
    }
    if (!message->find("error")) return message;
    auto reply = parse_reply(*message);
    if (reply && std::holds_alternative<Error>(reply->body))
      return tl::unexpected<Error>(std::get<Error>(reply->body));
    return fail("the run said what nobody understands");
  }

 private:
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

  pid_t pid_;
  UniqueFd line_;
  Watch watch_;
  std::string said_;
  bool ended_ = false;
};

// Runs of one scenario that was read once, one after the other, until one differs or somebody interrupts.
class Verification {
 public:
  Verification(const VerifyOptions& options, const BackendFactory& factory)
      : options_(options), factory_(factory), loop_(std::make_unique<WallPacer>()) {}

  Status begin() {
    auto scenario = read_scenario(options_.run);
    if (!scenario) return tl::unexpected<Error>(scenario.error());
    scenario_ = std::move(*scenario);
    return signals_.watch(loop_, [this] {
      interrupted_ = true;
      if (child_) child_->interrupt();
      loop_.stop();
    });
  }

  Result<OneRun> run(const fs::path& folder) {
    OneRun run;
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return fail_errno("cannot make " + folder.string(), error.value());
    run.trace = folder / "trace";
    if (interrupted_) return interruption();
    ROOKERY_TRY(start(folder, run.trace));
    while (!child_->ended()) loop_.run();
    auto report = child_->report();
    child_.reset();
    if (interrupted_) return interruption();
    if (!report) return tl::unexpected<Error>(report.error());
    run.report = std::move(*report);
    return run;
  }

 private:
  static tl::unexpected<Error> interruption() {
    return fail(ErrorKind::interrupted, "interrupted; nothing of the runs is left");
  }

  Status start(const fs::path& folder, const fs::path& trace) {
    int line[2];
    if (::pipe2(line, O_CLOEXEC) != 0) return fail_errno("cannot make a pipe");
    UniqueFd ours(line[0]), its(line[1]);
    const pid_t parent = ::getpid(), pid = ::fork();
    if (pid < 0) return fail_errno("cannot start a run");
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (::getppid() != parent) ::_exit(1);
      ours.reset();
      be_the_run(folder, trace, std::move(its));
    }
    ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
    child_ = std::make_unique<RunChild>(loop_, pid, std::move(ours));
    return {};
  }

  [[noreturn]] void be_the_run(const fs::path& folder, const fs::path& trace, UniqueFd line) {
    // What depends on the folder, or on where in memory something lies, is to show.
    ::setenv("XDG_RUNTIME_DIR", fs::absolute(folder).c_str(), 1);
    move_memory();
    RunOptions options = options_.run;
    options.trace = trace.string();
    options.keep_bytes = Bytes{kBytesKept};
    Json message;
    {
      Progress progress(Progress::How::quiet);
      auto report = run_once(options, *scenario_, factory_, progress);
      message = report ? std::move(*report) : error_message(0, report.error());
    }
    const std::string text = message.dump();
    for (std::string_view rest = text; !rest.empty();) {
      const ssize_t written = ::write(line.get(), rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) ::_exit(1);
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
    ::_exit(0);
  }

  // A fork has all addresses of its parent: this gives what comes from now on other ones, and another order.
  static void move_memory() {
    std::array<std::uint16_t, 256> sizes;
    if (::getrandom(sizes.data(), sizeof sizes, 0) != sizeof sizes) return;
    std::vector<std::unique_ptr<char[]>> holes;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      auto piece = std::make_unique<char[]>(16 + sizes[i] % 4096);
      if (sizes[i] >> 15 != 0) {
        holes.push_back(std::move(piece));
      } else {
        (void)piece.release();  // for as long as this process lives
      }
    }
    ::mmap(nullptr, (1 + sizes[0] % 4096) * std::size_t{4096}, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }

  const VerifyOptions& options_;
  const BackendFactory& factory_;
  std::unique_ptr<ReadScenario> scenario_;
  EventLoop loop_;
  StopSignals signals_;
  std::unique_ptr<RunChild> child_;
  bool interrupted_ = false;
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
