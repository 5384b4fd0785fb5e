// A small image for tests: a manifest, and files whose content fits it. Belongs to one test, with its folder.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/file.h"
#include "images/store/manifest.h"

namespace rookery::images {

struct ExampleImage {
  TemporaryFolder folder = TemporaryFolder::make("/tmp", "rookery-test-").value();
  std::map<std::string, std::string> contents;
  std::map<std::string, std::filesystem::path> files;
  Manifest manifest;

  ExampleImage() {
    manifest.name = "example";
    manifest.version = "12.20260101";
    manifest.distribution = {"debian", "12", sha256(as_bytes("busybox-static 1.35\n"))};
    manifest.created = 1767225600;
    manifest.kernels = {{std::string(kLinuxUml), "7.3.4-rookery"}, {std::string(kVmlinuz), "6.1.0-56-amd64"}};
    for (std::string_view name :
         {kRootSquashfs, kLinuxUml, kVmlinuz, kModulesCpio, kStageOneCpio, kStageTwoCpio}) {
      // Each part has some length of its own, over several of the medium's sectors.
      std::string content;
      while (content.size() < 5000 + 1000 * contents.size()) content += std::string(name) + " ";
      add(std::string(name), content);
    }
  }

  void add(const std::string& name, const std::string& content) {
    contents[name] = content;
    files[name] = folder.path() / name;
    if (!write_file(files[name], content)) std::abort();
    manifest.components.push_back(
        {name, "rookery/" + name, sha256(as_bytes(content)), Bytes{content.size()}});
  }
};

}  // namespace rookery::images
