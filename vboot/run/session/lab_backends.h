// The backends that a lab's machines run on. Which there are only main() knows, and says it by a
// BackendFactory.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "backends/backend.h"
#include "base/loop/event_loop.h"
#include "base/result.h"
#include "vboot/lab/lab_plan.h"

namespace rookery::vboot {

// What runs a machine of a lab, and for which lab.
struct BackendChoice {
  std::string name;  // "libvirt"
  std::string uri;   // where, for backends that are in several places
  std::string lab;
  std::filesystem::path folder;  // the lab's: private, and no other lab's of this host
};
// Makes a backend for a lab's loop; null if there is none of that name.
using BackendFactory =
    std::function<Result<std::unique_ptr<backends::Backend>>(const BackendChoice& choice, EventLoop& loop)>;

// The backends of one lab, each made when its first machine wants it. Owned by who runs the lab; factory and
// loop outlive it.
class LabBackends {
 public:
  LabBackends(const BackendFactory& factory, EventLoop& loop) : factory_(factory), loop_(loop) {}
  Result<backends::Backend*> of(const MachinePlan& machine, const std::string& lab,
                                const std::filesystem::path& folder);

 private:
  const BackendFactory& factory_;
  EventLoop& loop_;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<backends::Backend>> made_;  // by name and URI
};

}  // namespace rookery::vboot
