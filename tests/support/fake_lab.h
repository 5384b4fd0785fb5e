// What a lab of fake machines is made from: an image of which there are only the digests, and a medium of one
// sector. The files lie in the test's folder and go with it. The boot server's script is "server", the
// clients' is "client".
#pragma once

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <string>
#include <utility>

#include "base/file.h"
#include "images/manifest.h"
#include "vboot/supervisor/running_lab.h"

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

}  // namespace rookery::vboot
