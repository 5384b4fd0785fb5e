// Twenty domains made and destroyed by the libvirt backend, and by the bare calls from four threads: the same
// domains at the same embedded libvirt, in turns. Says both and the ratios, and fails if one is over the bar.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>

#include "backends/libvirt/libvirt_backend.h"
#include "base/file.h"
#include "tests/bench/bench.h"

namespace {

using namespace rookery;
using namespace rookery::backends;

constexpr unsigned kDomains = 20, kThreads = 4, kRounds = 3;
constexpr double kBar = 1.2;
constexpr Duration kLimit = std::chrono::seconds(120);

struct Times {
  double make = 1e9, destroy = 1e9;  // seconds; the best of the rounds
};

MachineSpec spec_of(const std::filesystem::path& folder, unsigned i) {
  MachineSpec spec;
  spec.name = fmt::format("n{}", i);
  spec.memory = mebibytes(32);
  spec.folder = folder / spec.name;
  std::filesystem::create_directories(spec.folder);
  return spec;
}

// For both sides the same end: all run.
bool all_run(virConnectPtr connection) {
  return virConnectListAllDomains(connection, nullptr, VIR_CONNECT_LIST_DOMAINS_RUNNING) ==
         static_cast<int>(kDomains);
}

void by_backend(EventLoop& loop, LibvirtBackend& backend, virConnectPtr connection,
                const std::filesystem::path& folder, Times& best) {
  EndCounter events;
  std::vector<std::unique_ptr<Machine>> machines;
  for (unsigned i = 0; i < kDomains; ++i) {
    auto made = backend.create(spec_of(folder, i), events);
    if (!made) give_up(made.error().message);
    machines.push_back(std::move(*made));
  }
  Duration start = host_clock::monotonic();
  for (const auto& machine : machines) {
    if (const auto started = machine->start(); !started) give_up(started.error().message);
  }
  EventId look;
  std::function<void()> look_again = [&] { look = loop.after(std::chrono::milliseconds(5), look_again); };
  look_again();
  if (!loop.run_until([&] { return all_run(connection); }, kLimit)) give_up("not all domains run");
  best.make = std::min(best.make, since(start));
  start = host_clock::monotonic();
  for (const auto& machine : machines) (void)machine->power(PowerAction::cut);
  if (!loop.run_until([&] { return events.ended == kDomains; }, kLimit)) give_up("not all domains ended");
  best.destroy = std::min(best.destroy, since(start));
  loop.cancel(look);
}

template <typename Call>
void in_threads(const Call& call) {
  std::atomic<unsigned> next = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (unsigned i; (i = next++) < kDomains;) call(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void by_bare_calls(virConnectPtr connection, const std::filesystem::path& folder, Times& best) {
  std::vector<std::string> xml;
  for (unsigned i = 0; i < kDomains; ++i) {
    std::string text = domain_xml(*parse_libvirt_uri(kDefaultLibvirtUri), {"bare", folder.string()},
                                  spec_of(folder, i), false, {})
                           .value();
    const std::size_t from = text.find("<serial type='unix'>"), to = text.find("</serial>");
    text.replace(from, to - from, "<serial type='pty'>");
    xml.push_back(std::move(text));
  }
  std::vector<virDomainPtr> domains(kDomains);
  Duration start = host_clock::monotonic();
  in_threads([&](unsigned i) { domains[i] = virDomainCreateXML(connection, xml[i].c_str(), 0); });
  if (!all_run(connection)) give_up("not all bare domains run");
  best.make = std::min(best.make, since(start));
  start = host_clock::monotonic();
  in_threads([&](unsigned i) { virDomainDestroy(domains[i]); });
  best.destroy = std::min(best.destroy, since(start));
  for (virDomainPtr domain : domains) virDomainFree(domain);
}

}  // namespace

int main() {
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-lb-").value();
  EventLoop loop(std::make_unique<WallPacer>());
  LibvirtBackend backend(loop,
                         {*parse_libvirt_uri(kDefaultLibvirtUri), {"bench", "here"}, folder.path() / "r"},
                         [] { return false; });
  if (const auto able = backend.probe({}); !able) give_up(able.error().message);
  const std::string uri = fmt::format("{}?root={}", kDefaultLibvirtUri, (folder.path() / "r").string());
  virConnectPtr connection = virConnectOpen(uri.c_str());
  if (connection == nullptr) give_up("cannot open " + uri);
  Times bare, ours;
  for (unsigned round = 0; round < kRounds; ++round) {
    by_bare_calls(connection, folder.path() / "bare", bare);
    by_backend(loop, backend, connection, folder.path() / "ours", ours);
  }
  virConnectClose(connection);
  bool good = true;
  const auto say = [&](std::string_view what, double of_ours, double of_bare) {
    const double ratio = of_ours / of_bare;
    good &= ratio <= kBar;
    fmt::print("{} {} domains: {:.2f} s, the bare calls {:.2f} s: {:.2f} times (bar {:.1f}){}\n", what,
               kDomains, of_ours, of_bare, ratio, kBar, ratio <= kBar ? "" : ": MISSED");
  };
  say("making", ours.make, bare.make);
  say("destroying", ours.destroy, bare.destroy);
  return good ? 0 : 1;
}
