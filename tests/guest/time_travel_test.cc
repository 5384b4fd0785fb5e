// The proof that the house is built on rock: a real boot server and two real clients, our switch and our
// disk, under User-Mode Linux's external time travel. Two runs, in different folders, are the same to the
// byte; another seed gives another run.
#include <fmt/format.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "backends/uml/uml_backend.h"
#include "base/file.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/supervisor/booted_image.h"
#include "vboot/supervisor/run_digest.h"
#include "vboot/supervisor/running_lab.h"
#include "vboot/supervisor/virtual_time.h"

namespace rookery::vboot {
namespace {

constexpr const char* kLab = R"(
lab: rock
machines:
  server: {role: boot-server, memory: 384 MiB}
  n: {role: client, count: 2, memory: 64 MiB}
link: {rate: 1 Gbit/s, delay: 100 us}
)";

struct Outcome {
  unsigned ready = 0;
  std::uint64_t frames = 0;
  std::string digest;
  std::string failures;
  double virtual_seconds = 0;
};

class Run final : private LabEvents {
 public:
  Run(const BootedImage& image, std::uint64_t seed)
      : folder_(TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-rock-").value()),
        memory_(TemporaryFolder::make("/dev/shm", "rookery-rock-").value()),
        plan_(plan_of(seed)),
        loop_(std::make_unique<LockstepPacer>(
            lockstep_rules(plan_),
            [](const auto& who) { BOOST_FAIL("a guest never yields: " + who.front()); })),
        digest_(loop_),
        uml_(loop_) {
    LabSetup setup;
    setup.plan = plan_;
    setup.folder = folder_.path();
    setup.memory_folder = memory_.path();
    setup.medium = image.medium;
    setup.boot_server = image.boot_server;
    setup.client = image.client;
    setup.image = image.facts();
    lab_ = RunningLab::make(
               loop_, std::move(setup), [this](std::string_view) { return &uml_; }, *this, &digest_)
               .value();
  }

  Outcome boot() {
    BOOST_REQUIRE(lab_->start().has_value());
    // Ready, and then ten seconds of what an idle network does.
    loop_.run_until([this] { return lab_->is_settled(); }, std::chrono::seconds(120));
    loop_.run_until([] { return false; }, std::chrono::seconds(10));
    Outcome outcome;
    const BootSummary summary = lab_->summary();
    outcome.ready = summary.ready;
    outcome.frames = digest_.frames();
    for (const auto& failed : summary.failed) outcome.failures += failed.name + ": " + failed.reason + "\n";
    outcome.virtual_seconds = seconds(loop_.now());
    outcome.digest = to_hex(digest_.finish());
    return outcome;
  }

 private:
  void stage_changed(const Node&) override {}
  void console_output(const Node& node, std::string_view bytes) override {
    digest_.console(node.plan().name, bytes);
    if (std::getenv("ROOKERY_SHOW") != nullptr) fmt::print(stderr, "[{}] {}", node.plan().name, bytes);
  }
  void settled() override {}

  static LabPlan plan_of(std::uint64_t seed) {
    PlanOptions options;
    options.seed = seed;
    return plan_lab(parse_lab(kLab, "rock.yaml").value(), options).value();
  }

  TemporaryFolder folder_, memory_;
  LabPlan plan_;
  EventLoop loop_;
  RunDigest digest_;
  backends::UmlBackend uml_;
  std::unique_ptr<RunningLab> lab_;
};

Outcome run(const BootedImage& image, std::uint64_t seed) {
  const Outcome outcome = Run(image, seed).boot();
  fmt::print("seed {}: {} ready, {} frames, {:.3f} virtual seconds, digest {}\n", seed, outcome.ready,
             outcome.frames, outcome.virtual_seconds, outcome.digest);
  BOOST_TEST(outcome.failures == "");
  BOOST_TEST(outcome.ready == 2u);
  return outcome;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(time_travel)

BOOST_AUTO_TEST_CASE(a_boot_server_and_two_clients_do_the_same_twice) {
  const auto store = images::Store::open();
  BOOST_REQUIRE(store.has_value());
  const auto image = open_booted_image("debian-12", *store);
  if (!image) {
    // 77 is CTest's word for a test that was skipped (tests/CMakeLists.txt).
    fmt::print("skipped: {}\n", image.error().message);
    std::fflush(stdout);
    ::_exit(77);
  }
  const Outcome first = run(*image, 7);
  const Outcome second = run(*image, 7);
  const Outcome other = run(*image, 8);
  BOOST_TEST(
      first.digest == second.digest,
      "two runs with the seed 7 differ; again: ctest --test-dir build -R time_travel --output-on-failure");
  BOOST_TEST(first.frames == second.frames);
  BOOST_TEST(first.digest != other.digest);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
