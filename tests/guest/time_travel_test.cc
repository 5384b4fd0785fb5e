// The proof that the house is built on rock: a real boot server and two real clients, our switch and our
// disk, under User-Mode Linux's external time travel. Two runs, in different folders, are the same to the
// byte; another seed gives another run.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "images/medium/console_notices.h"
#include "tests/support/virtual_lab.h"

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

class Run {
 public:
  Run(const BootedImage& image, std::uint64_t seed, bool side_by_side = true)
      : lab_(image, plan_of(seed), {.side_by_side = side_by_side}) {
    lab_.on_console = [this](const Node& node, std::string_view bytes) { look_for_notices(node, bytes); };
  }

  // Ready, and then ten seconds of what an idle network does.
  void boot() {
    lab_.boot(std::chrono::seconds(120));
    lab_.pass(std::chrono::seconds(10));
  }
  // Runs a shell script in a machine, to its end; what it wrote.
  std::string shell(std::string_view machine, const std::string& script) {
    const CommandEnd end = lab_.run(machine, {"sh", "-c", script});
    BOOST_TEST((end.code && *end.code == 0), script << ": " << end.said);
    return end.said;
  }
  // Five seconds without any time for it; then it goes on.
  void freeze_and_thaw(std::string_view machine) {
    backends::Pausing& pausing = *lab_.node(machine).machine().pausing();
    BOOST_REQUIRE(pausing.freeze([] {}).has_value());
    lab_.pass(std::chrono::seconds(5));
    BOOST_REQUIRE(pausing.thaw().has_value());
  }
  void slow(std::string_view machine, Duration gap) {
    BOOST_REQUIRE(lab_.node(machine).machine().pausing()->slow(gap).has_value());
  }
  Time now() { return lab_.loop().now(); }
  // What the machines' consoles said of instructions that no kernel sees.
  const std::vector<images::ConsoleNotice>& notices() const { return notices_; }
  // Lets a machine restart itself; returns what became of the command.
  std::string reboot(std::string_view machine) {
    // reboot(2): the three magic numbers and LINUX_REBOOT_CMD_RESTART
    const CommandEnd end =
        lab_.run(machine, {"perl", "-e", "syscall(169, 0xfee1dead, 672274793, 0x1234567)"});
    lab_.loop().run_until([&] { return lab_.node(machine).boot().stage == Stage::ready; },
                          std::chrono::seconds(60));
    return end.code ? "exit" : end.code.error().message;
  }
  Outcome outcome() {
    BOOST_TEST(lab_.loop().drain());
    Outcome outcome;
    const BootSummary summary = lab_.lab().summary();
    outcome.ready = summary.ready;
    outcome.frames = lab_.trace().frames();
    for (const auto& failed : summary.failed) outcome.failures += failed.name + ": " + failed.reason + "\n";
    outcome.virtual_seconds = seconds(now());
    outcome.digest = to_hex(lab_.trace().finish()->digest);
    return outcome;
  }

 private:
  void look_for_notices(const Node& node, std::string_view bytes) {
    for (char c : bytes) {
      std::string& line = lines_[node.plan().name];
      line += c;
      if (c != '\n') continue;
      if (const auto notice = images::parse_console_notice(line)) notices_.push_back(*notice);
      line.clear();
    }
  }
  static LabPlan plan_of(std::uint64_t seed) {
    PlanOptions options;
    options.seed = seed;
    return plan_lab(parse_lab(kLab, "rock.yaml").value(), options).value();
  }

  std::map<std::string, std::string> lines_;
  std::vector<images::ConsoleNotice> notices_;
  VirtualLab lab_;
};

// Two programs of a few instructions (ELF header, one segment, code): RDTSC and its answer on standard
// output; and RDRAND until it succeeds.
constexpr const char* kElf =
    "7f454c4602010100000000000000000002003e0001000000780040000000000040000000000000000000000000000000"
    "000000004000380001000000000000000100000005000000000000000000000000004000000000000000400000000000"
    "000100000000000000010000000000000010000000000000";
constexpr const char* kReadsTimeStamp = "0f315250b801000000bf010000004889e6ba100000000f05b83c00000031ff0f05";
constexpr const char* kReadsRandom = "480fc7f073fab83c00000031ff0f05";

std::string planted(const char* name, const char* code) {
  return fmt::format(
      "perl -e 'print pack(\"H*\", \"{0}{1}\")' > /tmp/{2} && chmod +x /tmp/{2} && /tmp/{2} | od -An -tx8",
      kElf, code, name);
}

Outcome run(const BootedImage& image, std::uint64_t seed, bool side_by_side = true, bool reboots = false) {
  Run run(image, seed, side_by_side);
  run.boot();
  if (reboots) BOOST_TEST(run.reboot("n2") == "n2: the machine restarted");
  const Outcome outcome = run.outcome();
  fmt::print("seed {}: {} ready, {} frames, {:.3f} virtual seconds, digest {}\n", seed, outcome.ready,
             outcome.frames, outcome.virtual_seconds, outcome.digest);
  BOOST_TEST(outcome.failures == "");
  BOOST_TEST(outcome.ready == 2u);
  return outcome;
}

constexpr const char* kAgain = "again: ctest --test-dir build -R time_travel --output-on-failure";

}  // namespace

BOOST_AUTO_TEST_SUITE(time_travel)

BOOST_AUTO_TEST_CASE(a_boot_server_and_two_clients_do_the_same_twice) {
  const BootedImage image = image_or_exit(77);
  const Outcome first = run(image, 7);
  const Outcome second = run(image, 7);
  const Outcome other = run(image, 8);
  BOOST_TEST(first.digest == second.digest, "two runs with the seed 7 differ; " << kAgain);
  BOOST_TEST(first.frames == second.frames);
  BOOST_TEST(first.digest != other.digest);
}

BOOST_AUTO_TEST_CASE(guests_side_by_side_do_what_they_do_one_after_another) {
  const BootedImage image = image_or_exit(77);
  BOOST_TEST(run(image, 7, true).digest == run(image, 7, false).digest,
             "with the seed 7 they differ; " << kAgain);
}

BOOST_AUTO_TEST_CASE(an_https_transfer_and_a_login_are_the_same_twice) {
  const BootedImage image = image_or_exit(77);
  std::vector<std::string> digests, said;
  for (std::uint64_t seed : {7, 7, 8}) {
    Run run(image, seed);
    run.boot();
    for (const char* machine : {"server", "n1", "n2"}) run.shell(machine, "/usr/lib/rookery/secure");
    std::string words = run.shell(
        "n1", "cd /run/rookery/secure; curl -sS --cacert cert.pem https://server/stage2.cpio | sha256sum");
    words += run.shell("n1", "ssh n2 'hostname; date +%s.%N; cat /run/rookery/ssh/host.pub /proc/cpuinfo'");
    BOOST_TEST(words.find("n2\n") != std::string::npos, words);
    for (const images::ConsoleNotice& notice : run.notices()) {
      BOOST_TEST(!endangers_repetition(notice), notice.program << " in " << notice.file);
    }
    said.push_back(words);
    digests.push_back(run.outcome().digest);
  }
  BOOST_TEST(said[0] == said[1]);
  BOOST_TEST(digests[0] == digests[1], "two runs with the seed 7 differ; " << kAgain);
  BOOST_TEST(said[0] != said[2]);
}

BOOST_AUTO_TEST_CASE(the_time_stamp_counter_is_answered_and_the_processors_random_numbers_are_noticed) {
  const BootedImage image = image_or_exit(77);
  std::vector<std::string> digests, said;
  for (int i = 0; i < 2; ++i) {
    Run run(image, 7);
    run.boot();
    BOOST_TEST(run.notices().empty());
    said.push_back(run.shell("n1", planted("stamp", kReadsTimeStamp)));
    BOOST_TEST((run.notices().back() ==
                images::ConsoleNotice{images::ConsoleNotice::Kind::time_stamp_answered, "stamp", "/stamp"}));
    BOOST_TEST(!endangers_repetition(run.notices().back()));
    run.shell("n2", planted("dice", kReadsRandom));
    BOOST_TEST((run.notices().back() ==
                images::ConsoleNotice{images::ConsoleNotice::Kind::hardware_value, "dice", "/dice"}));
    BOOST_TEST(endangers_repetition(run.notices().back()));
    digests.push_back(run.outcome().digest);
  }
  BOOST_TEST(said[0] != "");
  BOOST_TEST(said[0] == said[1]);
  BOOST_TEST(digests[0] == digests[1], "two runs with the seed 7 differ; " << kAgain);
}

BOOST_AUTO_TEST_CASE(the_clock_begins_at_the_images_date_or_where_the_lab_says) {
  const BootedImage image = image_or_exit(77);
  const auto clock_of = [&](const std::string& words, const std::string& command) {
    const std::string lab =
        "lab: day\n" + words + "machines:\n  server: {role: boot-server}\n  n: {role: client}\n";
    VirtualLab day(image, plan_lab(parse_lab(lab, "day.yaml").value(), {}).value());
    BOOST_TEST(day.boot(std::chrono::seconds(120)));
    return day.run("n", {"sh", "-c", command}).said;
  };
  const std::int64_t begin = image.manifest.created;
  const std::int64_t now = std::stoll(clock_of("", "date +%s"));
  BOOST_TEST(now >= begin);
  BOOST_TEST(now < begin + 60);
  // No file of the image is of the future.
  BOOST_TEST(clock_of("", fmt::format("find /etc /usr/bin /var/lib -newermt @{}", begin + 60)) == "");
  BOOST_TEST(clock_of("clock: 2100-03-01 14:30:00\n", "date -u '+%F %H:%M'") == "2100-03-01 14:30\n");
}

BOOST_AUTO_TEST_CASE(a_guest_that_reboots_is_taken_back_and_the_run_stays_the_same) {
  const BootedImage image = image_or_exit(77);
  const Outcome first = run(image, 7, true, true);
  const Outcome second = run(image, 7, true, true);
  BOOST_TEST(first.digest == second.digest, "two runs with the seed 7 differ; " << kAgain);
  BOOST_TEST(first.digest != run(image, 7).digest);
}

BOOST_AUTO_TEST_CASE(a_frozen_machine_goes_on_when_it_is_thawed_and_a_slow_one_gets_there) {
  const BootedImage image = image_or_exit(77);
  std::vector<std::string> digests;
  for (int i = 0; i < 2; ++i) {
    Run run(image, 7);
    run.boot();
    run.freeze_and_thaw("n1");
    run.shell("n1", "sleep 1");
    run.freeze_and_thaw("server");  // whom everybody reads from
    run.shell("n1", "dpkg -l");
    const std::string naps = "for i in 1 2 3 4 5 6 7 8; do sleep 0.01; done";
    run.shell("n2", naps);  // from here on nothing has to be fetched for it
    const Time before = run.now();
    run.shell("n2", naps);
    const Time between = run.now();
    run.slow("n2", std::chrono::milliseconds(50));
    run.shell("n2", naps);
    BOOST_TEST(((run.now() - between) > 3 * (between - before)));
    const Outcome outcome = run.outcome();
    BOOST_TEST(outcome.failures == "");
    digests.push_back(outcome.digest);
  }
  BOOST_TEST(digests[0] == digests[1], "two runs with the seed 7 differ; " << kAgain);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace rookery::vboot
