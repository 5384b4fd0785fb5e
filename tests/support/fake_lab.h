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
#include "vboot/run/session/lab_session.h"

namespace rookery::vboot {

using FakeScripts = std::map<std::string, backends::FakeScript>;

inline BootedImage fake_image(const LabPlan& plan, const std::filesystem::path& folder) {
  BootedImage image;
  image.medium = folder / "medium";
  BOOST_REQUIRE(write_file(image.medium, std::string(512, 'm')).has_value());
  image.boot_server.kernel = "server";
  image.client.kernel = "client";
  std::uint8_t digest = 0xaa;
  for (const std::string& name : {std::string("stage2.cpio"), std::string("vmlinuz"),
                                  std::string("modules.cpio"), std::string("root.squashfs"),
                                  images::layer_component(kBootServer, plan.role(kBootServer).packages)}) {
    images::Component& component = image.manifest.components.emplace_back();
    component.name = name;
    component.sha256.fill(digest);
    digest += 0x11;
  }
  return image;
}

// A session of the plan whose place is in that folder, in virtual time; nothing of this host decides.
inline SessionSetup fake_session(LabPlan plan, const std::filesystem::path& folder, FakeScripts scripts) {
  SessionSetup setup;
  setup.image = fake_image(plan, folder);
  setup.plan = std::move(plan);
  setup.backends = [scripts = std::move(scripts)](const BackendChoice&, EventLoop& loop) {
    return std::make_unique<backends::FakeBackend>(loop, scripts);
  };
  setup.place.runtime = setup.place.files = folder;
  setup.place.name = "lab";
  setup.place.any_name = true;
  setup.place.guarded = false;
  setup.time = SessionTime::scripted;
  setup.measures_host = false;
  return setup;
}

inline std::unique_ptr<LabSession> open_session(SessionSetup setup, SessionEvents& events) {
  auto session = LabSession::open(std::move(setup), events);
  BOOST_REQUIRE_MESSAGE(session.has_value(), (session ? "" : session.error().message));
  return std::move(*session);
}

struct FakeLab : LabEvents, SessionEvents {
  TemporaryFolder folder =
      TemporaryFolder::make(std::filesystem::temp_directory_path(), "rookery-test-").value();
  std::unique_ptr<LabSession> session;
  EventLoop& loop;
  RunningLab* lab = nullptr;  // the session's
  bool was_settled = false;
  std::vector<std::string> told;
  std::function<void(const Node&)> on_stage = [](const Node&) {};

  FakeLab(const std::string& machines, FakeScripts scripts, SessionTime time = SessionTime::scripted,
          unsigned booting_at_once = 0)
      : session(open_session(setup_of(machines, std::move(scripts), time, booting_at_once), *this)),
        loop(session->loop()) {
    const Status made = session->make_lab();
    BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
    lab = &session->lab();
    lab->listen(this);
  }
  void stage_changed(const Node& node) override {
    told.push_back(node.plan().name + " " + std::string(to_string(node.boot().stage)));
    on_stage(node);
  }
  void settled() override { was_settled = true; }

 private:
  SessionSetup setup_of(const std::string& machines, FakeScripts scripts, SessionTime time,
                        unsigned booting_at_once) const {
    LabPlan plan = plan_lab(parse_lab("lab: test\nmachines:\n" + machines, "test.yaml").value(), {}).value();
    SessionSetup setup = fake_session(std::move(plan), folder.path(), std::move(scripts));
    setup.time = time;
    setup.booting_at_once = booting_at_once;
    return setup;
  }
};

inline constexpr const char* kTwo =
    "  server: {role: boot-server, memory: 256 MiB}\n  n: {role: client, memory: 64 MiB, count: 2}\n";

}  // namespace rookery::vboot
