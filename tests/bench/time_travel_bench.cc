// How fast a cluster of real kernels goes through virtual time: a boot server and N clients boot from the
// network and idle. Prints one line a run; with --repeat the digests have to agree.
//
//   bench_time_travel [--clients N] [--idle SECONDS] [--one-by-one] [--repeat N] [--seed N] [--kernel FILE]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <set>

#include "tests/support/virtual_lab.h"

namespace rookery::vboot {
namespace {

constexpr const char* kLab = R"(
lab: bench
machines:
  server: {role: boot-server, memory: 768 MiB}
  n: {role: client, count: 2, memory: 48 MiB, boot_timeout: 10 min}
link: {rate: 1 Gbit/s, delay: 100 us}
)";

struct Options {
  unsigned clients = 10;
  double idle = 10;
  bool one_by_one = false;
  bool show = false, speak = false, json = false;
  unsigned repeat = 1;
  unsigned booting = 0;
  std::uint64_t seed = 1;
  std::string kernel;
};

double wall() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

LabPlan plan_of(const Options& options) {
  PlanOptions plan;
  plan.seed = options.seed;
  plan.nodes = options.clients;
  return plan_lab(parse_lab(kLab, "bench.yaml").value(), plan).value();
}

class Run {
 public:
  Run(const BootedImage& image, const Options& options)
      : options_(options),
        lab_(image, plan_of(options),
             {.side_by_side = !options.one_by_one,
              .booting_at_once = options.booting,
              .kernel = options.kernel}) {
    if (options.show)
      lab_.on_stage = [this](const Node& node) {
        fmt::print("{:.6f} {} {}\n", seconds(lab_.loop().now()), node.plan().name,
                   to_string(node.boot().stage));
      };
  }

  std::string go() {
    const double begin = wall();
    lab_.boot(std::chrono::hours(1));
    const double booted = wall();
    const double booted_virtual = seconds(lab_.loop().now());
    if (options_.speak) speak();
    lab_.pass(std::chrono::nanoseconds(static_cast<std::int64_t>(options_.idle * 1e9)));
    const double end = wall();
    const BootSummary summary = lab_.lab().summary();
    for (const auto& failed : summary.failed) fmt::print("{}: {}\n", failed.name, failed.reason);
    const std::string digest = to_hex(lab_.trace().finish()->digest);
    constexpr const char* kText =
        "{0} of {1} ready in {2:.2f} s (virtual {3:.3f} s); {4:.0f} virtual s of idle in {5:.2f} s; {6} "
        "frames, {7:.16}\n";
    constexpr const char* kJson =
        R"({{"ready": {0}, "clients": {1}, "boot_s": {2:.3f}, "boot_virtual_s": {3:.6f}, "idle_virtual_s": {4:.1f}, )"
        R"("idle_s": {5:.3f}, "frames": {6}, "digest": "{7}"}})"
        "\n";
    fmt::print(fmt::runtime(options_.json ? kJson : kText), summary.ready, summary.clients, booted - begin,
               booted_virtual, options_.idle, end - booted, lab_.trace().frames(), digest);
    std::fflush(stdout);
    return digest;
  }

  // Each client reads a page from the boot server, three times.
  void speak() {
    unsigned spoke = 0, ended = 0, asked = 0;
    for (const auto& node : lab_.lab().nodes()) {
      if (serves_boot(node->plan().roles)) continue;
      ExecEvents events;
      events.output = [](agent::Stream, ByteView) {};
      events.exited = [&](const Result<int>& code) {
        ++ended;
        if (code && *code == 0) ++spoke;
      };
      const std::string server = to_text(lab_.lab().plan().boot_server().address);
      const std::string command =
          "for i in 1 2 3; do exec 3<>/dev/tcp/" + server +
          "/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && read -r line <&3 || exit 1; done";
      if (node->exec({"bash", "-c", command}, std::move(events))) ++asked;
    }
    lab_.loop().run_until([&] { return ended == asked; }, std::chrono::minutes(10));
    if (spoke == options_.clients) return;
    fmt::print(stderr, "only {} of {} spoke to the server\n", spoke, options_.clients);
    std::exit(1);
  }

 private:
  const Options& options_;
  VirtualLab lab_;
};

}  // namespace
}  // namespace rookery::vboot

int main(int argc, char** argv) {
  using namespace rookery;
  vboot::Options options;
  CLI::App app;
  app.add_option("--clients", options.clients);
  app.add_option("--idle", options.idle);
  app.add_flag("--one-by-one", options.one_by_one);
  app.add_flag("--show", options.show);
  app.add_flag("--speak", options.speak);
  app.add_flag("--json", options.json);
  app.add_option("--repeat", options.repeat);
  app.add_option("--booting", options.booting);
  app.add_option("--seed", options.seed);
  app.add_option("--kernel", options.kernel);
  CLI11_PARSE(app, argc, argv);
  const vboot::BootedImage image = vboot::image_or_exit(4);
  std::set<std::string> digests;
  for (unsigned i = 0; i < options.repeat; ++i) digests.insert(vboot::Run(image, options).go());
  return digests.size() == 1 ? 0 : 5;
}
