// rookery-guest: the programs inside a machine, in one static binary. Which one is asked for by the first
// argument, or by the name that it is called by; as /init, by what /init links to, or by the mark /stage1 or
// /stage2 beside it.
#include <unistd.h>

#include <cstdio>
#include <string>

#include "guest/program/lease.h"
#include "guest/program/stages.h"
#include "guest/program/system.h"

namespace {

std::string base_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

bool is_program(const std::string& name) {
  return name == "stage1" || name == "stage2" || name == "agent";
}

std::string program_of_init() {
  char target[256];
  const ssize_t length = readlink("/init", target, sizeof target);
  if (length > 0) {
    std::string name = base_name(std::string(target, static_cast<std::size_t>(length)));
    if (is_program(name)) return name;
  }
  if (access("/stage1", F_OK) == 0) return "stage1";
  if (access("/stage2", F_OK) == 0) return "stage2";
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  using namespace rookery::guest;
  const std::string called = argc > 0 ? base_name(argv[0]) : "";
  if (called == "lease-script") return record_lease(argc > 1 ? argv[1] : "");
  std::string program = argc > 1 ? argv[1] : "";
  if (!is_program(program)) program = is_program(called) ? called : program_of_init();
  if (program.empty()) {
    std::fputs("usage: rookery-guest stage1|stage2|agent\n", stderr);
    return 2;
  }
  if (program != "agent" && getpid() != 1) {
    std::fputs("rookery-guest: the stages run only as a machine's first process\n", stderr);
    return 2;
  }
  set_program_name(program);
  if (program == "stage1") stage_one();
  if (program == "stage2") stage_two();
  agent_main();
}
