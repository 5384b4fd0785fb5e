// Any bytes as a table of machines, and as public keys: each problem names the file, and what is taken is
// what a plan can bear.
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "vboot/lab/lab.h"
#include "vboot/lab/side_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  using namespace rookery::vboot;
  const std::string_view text = as_text({data, size});
  Problems problems("lab.yaml"), of_keys("lab.yaml");
  const auto rows = parse_hosts(text, "hosts.csv", problems);
  if (rows.size() > kMachinesMax || (rows.empty() && problems.empty())) std::abort();
  if (!problems.empty() && !problems.to_error().message.starts_with("hosts.csv:")) std::abort();
  for (const HostRow& row : rows) {
    if (problems.empty() && !is_name(row.name, 32, "-")) std::abort();
  }
  const auto keys = parse_keys(text, "keys.pub", of_keys);
  if (keys.size() > kKeysMost || (keys.empty() && of_keys.empty())) std::abort();
  for (const std::string& key : keys) {
    if (!problem_of_key(key).empty() || key.find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
