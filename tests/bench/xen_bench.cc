// A paravirtual domain made by the Xen backend, and by the bare call of libxl: the same domain, in turns, in
// dom0 of the nested host (xen.py). Says both and the ratio, and fails if it is over the bar. Both end when
// the domain is there and its interface is up; then it is destroyed, without a clock.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "backends/xen/libxl.h"
#include "backends/xen/xen_backend.h"
#include "backends/xen/xen_config.h"
#include "base/file.h"
#include "base/unix_socket.h"
#include "tests/bench/bench.h"

namespace {

using namespace rookery;
using namespace rookery::backends;

constexpr unsigned kRounds = 7;
constexpr double kBar = 1.3;
constexpr Duration kLimit = std::chrono::minutes(4);

MachineSpec spec_of(const std::filesystem::path& folder) {
  MachineSpec spec;
  spec.name = "n1";
  spec.memory = mebibytes(96);
  spec.folder = folder;
  std::filesystem::create_directories(spec.folder);
  const char* kernel = std::getenv("ROOKERY_XEN_KERNEL");
  if (kernel == nullptr) give_up("ROOKERY_XEN_KERNEL is to name a Linux kernel");
  spec.kernel = kernel;
  spec.initramfs = folder / "initramfs";
  if (!write_file(spec.initramfs, std::string(512, '\0'))) give_up("no initramfs");
  if (!write_file(folder / kVifScriptName, kVifScript, 0700)) give_up("no script for the interface");
  spec.hardware.chipset = Chipset::pv;
  spec.nics = {{{0x52, 0x54, 0, 0, 0, 1}, "nic", nullptr, false, NicWire::interface}};
  return spec;
}

double by_backend(EventLoop& loop, XenBackend& backend, const MachineSpec& spec) {
  EndCounter events;
  const UniqueFd listener = listen_unix(spec.folder / "nic").value();
  bool up = false;  // it says the name of its interface
  Watch watch = loop.watch(listener.get(), EPOLLIN, [&](std::uint32_t) {
    up = true;
    watch.stop();
  });
  const Duration start = host_clock::monotonic();
  auto machine = backend.create(spec, events);
  if (!machine) give_up(machine.error().message);
  if (const auto started = (*machine)->start(); !started) give_up(started.error().message);
  if (!loop.run_until([&] { return up; }, kLimit)) give_up("the machine does not come up");
  const double took = since(start);
  (void)(*machine)->power(PowerAction::cut);
  if (!loop.run_until([&] { return events.ended > 0; }, kLimit)) give_up("the machine does not end");
  std::filesystem::remove(spec.folder / "nic");
  return took;
}

double by_bare_call(const Libxl& xl, libxl_ctx* context, const MachineSpec& spec) {
  const std::string json = xen_domain_config(spec).value();
  const Duration start = host_clock::monotonic();
  libxl_domain_config config;
  xl.libxl_domain_config_init(&config);
  std::uint32_t id = 0;
  if (xl.libxl_domain_config_from_json(context, &config, json.c_str()) != 0 ||
      xl.libxl_domain_create_new(context, &config, &id, nullptr, nullptr) != 0)
    give_up("the bare call makes no domain");
  const double took = since(start);
  xl.libxl_domain_config_dispose(&config);
  if (xl.libxl_domain_destroy(context, id, nullptr) != 0) give_up("the bare call destroys no domain");
  return took;
}

}  // namespace

int main() {
  if (const auto able = look_for_xen(); !able) give_up(able.error().message);
  const auto folder = TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-xb-").value();
  EventLoop loop(std::make_unique<WallPacer>());
  XenBackend backend(loop, kLimit);
  const Libxl& xl = **Libxl::load();
  xentoollog_logger logger{};
  logger.vmessage = [](xentoollog_logger*, xentoollog_level, int, const char*, const char*, va_list) {};
  libxl_ctx* context = nullptr;
  if (xl.libxl_ctx_alloc(&context, LIBXL_VERSION, 0, &logger) != 0) give_up("no context of libxl");
  const libxl_childproc_hooks children{libxl_sigchld_owner_libxl_always_selective_reap, nullptr, nullptr};
  xl.libxl_childproc_setmode(context, &children, nullptr);
  const MachineSpec spec = spec_of(folder.path() / "n1");
  std::vector<double> ours, bare;
  for (unsigned round = 0; round <= kRounds; ++round) {
    const double of_bare = by_bare_call(xl, context, spec), of_ours = by_backend(loop, backend, spec);
    if (round == 0) continue;  // the scripts and libraries are read for the first time
    bare.push_back(of_bare);
    ours.push_back(of_ours);
  }
  const double of_ours = *std::min_element(ours.begin(), ours.end());
  const double of_bare = *std::min_element(bare.begin(), bare.end());
  const bool good = of_ours <= kBar * of_bare;
  fmt::print("making a PV domain: {:.3f} s, the bare call {:.3f} s: {:.2f} times (bar {:.1f}){}\n", of_ours,
             of_bare, of_ours / of_bare, kBar, good ? "" : ": MISSED");
  return good ? 0 : 1;
}
