#include <stdexcept>

#include "base/file.h"
#include "tests/contract/backend_contract.h"

namespace rookery::contract {

std::filesystem::path make_disk(const std::filesystem::path& folder, std::string_view first_sector) {
  constexpr std::size_t kSector = 512;
  std::string bytes(first_sector);
  bytes.resize(kSector);
  while (bytes.size() < 2 * kSector) bytes += kOnDisk;
  bytes.resize(2 * kSector);
  const auto file = folder / kDisk;
  if (const auto made = write_file(file, bytes); !made) throw std::runtime_error(made.error().message);
  return file;
}

}  // namespace rookery::contract
