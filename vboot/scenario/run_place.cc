#include "vboot/scenario/run_place.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"

namespace rookery::vboot {

namespace fs = std::filesystem;

Result<RunPlace> RunPlace::make(const std::vector<std::string>& last) {
  const auto runtime = runtime_folder();
  if (!runtime) return tl::unexpected<Error>(runtime.error());
  const std::string name = fmt::format("run-{}", ::getpid());
  auto claimed = claim_folder(*runtime / name);
  if (!claimed) return tl::unexpected<Error>(claimed.error());
  if (!*claimed) return fail("the folder " + (*runtime / name).string() + " is another's");
  RunPlace place(std::move(**claimed), fmt::format("/dev/shm/rookery-{}-{}", ::getuid(), name));
  // What is there now is left over from one whose janitor was killed as well.
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(place.folder(), error)) fs::remove_all(entry.path(), error);
  fs::remove_all(place.memory_, error);
  if (::mkdir(place.memory_.c_str(), 0700) != 0) return fail_errno("cannot make " + place.memory_.string());
  auto janitor = start_janitor(place.folder_, {place.memory_}, last);
  if (!janitor) return tl::unexpected<Error>(janitor.error());
  place.janitor_ = std::move(*janitor);
  return place;
}

RunPlace::~RunPlace() {
  if (!folder_.claim) return;  // moved from
  std::error_code ignored;
  fs::remove_all(memory_, ignored);
  fs::remove_all(folder_.path, ignored);
}

}  // namespace rookery::vboot
