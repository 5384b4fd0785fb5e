// A lab of real kernels in virtual time, within a test or a benchmark: User-Mode Linux, our switch, our disk,
// in folders of its own. Owned by the test, which has its loop; nothing is left when it goes.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "backends/uml/uml_backend.h"
#include "base/file.h"
#include "vboot/lab/lab_plan.h"
#include "vboot/run/session/booted_image.h"
#include "vboot/run/session/lab_session.h"
#include "vboot/trace/trace.h"

namespace rookery::vboot {

// The image that all boot; without one the program ends with that code (77 is CTest's word for a skip), and
// says why.
inline BootedImage image_or_exit(int code) {
  const auto store = images::Store::open();
  const auto image = store ? open_booted_image("debian-12", *store) : tl::unexpected(store.error());
  if (image) return *image;
  fmt::print("{}{}\n", code == 77 ? "skipped: " : "", image.error().message);
  std::fflush(stdout);
  ::_exit(code);
}

struct VirtualLabOptions {
  bool side_by_side = true;
  unsigned booting_at_once = 0;  // 0: as a lab chooses
  std::string kernel{};          // instead of the image's
};

// What a command in a machine came to.
struct CommandEnd {
  std::string said;
  Result<int> code = fail(ErrorKind::timeout, "the command did not end");
};

class VirtualLab final : private LabEvents, private SessionEvents {
 public:
  using Console = std::function<void(const Node&, std::string_view)>;

  VirtualLab(const BootedImage& image, LabPlan plan, const VirtualLabOptions& options = {})
      : folder_(TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-virtual-").value()),
        session_(LabSession::open(setup_of(image, std::move(plan), options), *this).value()) {
    auto trace = std::make_unique<Trace>(session_->loop());
    trace_ = trace.get();
    if (const Status made = session_->make_lab(std::move(trace)); !made)
      throw std::runtime_error(made.error().message);
    session_->lab().listen(this);
  }

  EventLoop& loop() { return session_->loop(); }
  Trace& trace() { return *trace_; }
  RunningLab& lab() { return session_->lab(); }
  Node& node(std::string_view name) { return *lab().find(name); }

  std::function<void(const Node&)> on_stage;
  Console on_console;

  // Whether all machines were ready or had failed within that time.
  bool boot(Duration limit) {
    if (const Status started = lab().start(); !started) throw std::runtime_error(started.error().message);
    return loop().run_until([this] { return lab().is_settled(); }, limit);
  }
  void pass(Duration time) {
    loop().run_until([] { return false; }, time);
  }
  // Runs a program in a machine, to its end.
  CommandEnd run(std::string_view machine, const std::vector<std::string>& command,
                 Duration limit = std::chrono::seconds(120)) {
    CommandEnd end;
    bool ended = false;
    ExecEvents events;
    events.output = [&](agent::Stream, ByteView bytes) { end.said += as_text(bytes); };
    events.exited = [&](const Result<int>& code) {
      end.code = code;
      ended = true;
    };
    node(machine).exec(command, std::move(events)).value();
    loop().run_until([&] { return ended; }, limit);
    return end;
  }

 private:
  void stage_changed(const Node& node) override {
    if (on_stage) on_stage(node);
  }
  void console_output(const Node& node, std::string_view bytes) override {
    trace_->console(node.plan().index, bytes);
    if (on_console) on_console(node, bytes);
    if (std::getenv("ROOKERY_SHOW") != nullptr)
      fmt::print(stderr, "{:.6f} [{}] {}", seconds(loop().now()), node.plan().name, bytes);
  }
  void settled() override {}

  void stuck(const std::vector<std::string>& machines) override {
    throw std::runtime_error("a guest never yields: " + machines.front());
  }

  // Beside labs of users, whom it neither asks for room nor for a name.
  SessionSetup setup_of(const BootedImage& image, LabPlan plan, const VirtualLabOptions& options) const {
    SessionSetup setup;
    setup.plan = std::move(plan);
    setup.image = image;
    if (!options.kernel.empty()) setup.image.boot_server.kernel = setup.image.client.kernel = options.kernel;
    setup.backends = [](const BackendChoice&, EventLoop& loop) {
      return std::make_unique<backends::UmlBackend>(loop);
    };
    setup.place.runtime = folder_.path();
    setup.place.name = fmt::format("virtual-{}", ::getpid());
    setup.place.any_name = true;
    setup.time = SessionTime::lockstep;
    setup.lockstep.side_by_side = options.side_by_side;
    setup.booting_at_once = options.booting_at_once;
    setup.measures_host = false;
    return setup;
  }

  TemporaryFolder folder_;
  std::unique_ptr<LabSession> session_;
  Trace* trace_ = nullptr;  // the session's
};

}  // namespace rookery::vboot
