// A lab of fake machines, which speak no network: what is tested is what happens around a boot. It is made
// from an image of which there are only the digests, and a medium of one sector; the files lie in the test's
// folder and go with it. The boot server's script is "server", the clients' is "client".
#pragma once

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/fake/fake_backend.h"
#include "base/file.h"
#include "images/store/manifest.h"
#include "vboot/run/session/running_lab.h"

namespace rookery::vboot {

inline LabSetup fake_setup(LabPlan plan, const std::filesystem::path& folder) {
  LabSetup setup;
  setup.plan = std::move(plan);
  setup.folder = folder;
  setup.memory_folder = folder;
  setup.medium = folder / "medium";
  BOOST_REQUIRE(write_file(setup.medium, std::string(512, 'm')).has_value());
  setup.boot_server.kernel = "server";
  setup.client.kernel = "client";
  setup.image.components = {
      {"stage2.cpio", std::string(64, 'a')},
      {"vmlinuz", std::string(64, 'b')},
      {"modules.cpio", std::string(64, 'c')},
      {"root.squashfs", std::string(64, 'd')},
      {images::layer_component(kBootServer, setup.plan.role(kBootServer).packages), std::string(64, 'e')}};
  return setup;
}

struct FakeLab : LabEvents {
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  EventLoop loop;
  backends::FakeBackend backend;
  std::unique_ptr<RunningLab> lab;
  bool was_settled = false;
  std::vector<std::string> told;
  std::function<void(const Node&)> on_stage = [](const Node&) {};

  FakeLab(const std::string& machines, std::map<std::string, backends::FakeScript> scripts,
          std::unique_ptr<Pacer> pacer = std::make_unique<VirtualPacer>(), unsigned booting_at_once = 0)
      : loop(std::move(pacer)), backend(loop, std::move(scripts)) {
    LabPlan plan = plan_lab(parse_lab("lab: test\nmachines:\n" + machines, "test.yaml").value(), {}).value();
    LabSetup setup = fake_setup(std::move(plan), folder.path());
    setup.booting_at_once = booting_at_once;
    auto made = RunningLab::make(
        loop, std::move(setup), [this](const MachinePlan&) { return &backend; }, *this, nullptr);
    BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
    lab = std::move(*made);
  }
  void stage_changed(const Node& node) override {
    told.push_back(node.plan().name + " " + std::string(to_string(node.boot().stage)));
    on_stage(node);
  }
  void settled() override { was_settled = true; }
};

inline constexpr const char* kTwo =
    "  server: {role: boot-server, memory: 256 MiB}\n  n: {role: client, memory: 64 MiB, count: 2}\n";

}  // namespace rookery::vboot
