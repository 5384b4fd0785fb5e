#include "base/vhost_user/memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <mutex>

namespace rookery::vhost_user {
namespace {

// A shared file mapping whose file shrinks delivers SIGBUS on access. The handler finds the mapping in a
// fixed table (nothing may be allocated or locked there), puts zero pages over the rest of it, marks it
// damaged, and goes on; any other SIGBUS is as deadly as before.
struct Guarded {
  std::atomic<std::uint8_t*> start{nullptr};
  std::atomic<std::size_t> size{0};
  std::atomic<std::atomic<bool>*> damaged{nullptr};
};
constexpr std::size_t kGuardedLimit = 8192;  // two NICs and a disk for more than 2,000 machines
std::array<Guarded, kGuardedLimit> guarded_mappings;

void on_sigbus(int number, siginfo_t* info, void*) {
  auto* address = static_cast<std::uint8_t*>(info->si_addr);
  for (Guarded& guarded : guarded_mappings) {
    std::uint8_t* start = guarded.start.load();
    const std::size_t size = guarded.size.load();
    if (start == nullptr || address < start || address >= start + size) continue;
    constexpr std::uintptr_t kPage = 4096;
    auto* page = address - reinterpret_cast<std::uintptr_t>(address) % kPage;
    const auto rest = static_cast<std::size_t>(start + size - page);
    if (::mmap(page, rest, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED) {
      break;
    }
    if (std::atomic<bool>* damaged = guarded.damaged.load()) damaged->store(true);
    return;
  }
  ::signal(number, SIG_DFL);
  ::raise(number);
}

void guard_against_sigbus() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGBUS, &action, nullptr);
  });
}

}  // namespace

struct GuestMemory::Mapping {
  std::uint8_t* start = nullptr;
  std::size_t size = 0;
  std::atomic<bool> damaged{false};
  Guarded* guard = nullptr;

  Mapping(std::uint8_t* at, std::size_t bytes) : start(at), size(bytes) {
    for (Guarded& guarded : guarded_mappings) {
      if (guarded.start.load() != nullptr) continue;
      guarded.damaged = &damaged;
      guarded.size = size;
      guarded.start = start;
      guard = &guarded;
      break;
    }
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (guard != nullptr) {
      guard->start = nullptr;
      guard->damaged = nullptr;
    }
    ::munmap(start, size);
  }
};

Result<GuestMemory> GuestMemory::map(const std::vector<MemoryRegion>& regions, std::vector<UniqueFd> files) {
  guard_against_sigbus();
  if (files.size() != regions.size())
    return fail("vhost-user: a memory table without a file for each region");
  GuestMemory memory;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    const MemoryRegion& region = regions[i];
    struct stat status {};
    if (::fstat(files[i].get(), &status) != 0) return fail_errno("vhost-user: a memory file");
    const std::uint64_t file_size = status.st_size < 0 ? 0 : static_cast<std::uint64_t>(status.st_size);
    const auto wraps = [&](std::uint64_t base) { return base + region.size < base; };
    if (region.size == 0 || region.file_offset % 4096 != 0 || wraps(region.file_offset) ||
        wraps(region.guest_address) || wraps(region.user_address) ||
        region.file_offset + region.size > file_size) {
      return fail("vhost-user: a memory region that its file does not hold is refused");
    }
    void* start = ::mmap(nullptr, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, files[i].get(),
                         static_cast<off_t>(region.file_offset));
    if (start == MAP_FAILED) return fail_errno("vhost-user: cannot map guest memory");
    auto mapping = std::make_shared<Mapping>(static_cast<std::uint8_t*>(start), region.size);
    if (mapping->guard == nullptr) return fail("vhost-user: too many mapped guests in one process");
    memory.regions_.push_back(Region{region, std::move(mapping)});
  }
  return memory;
}

template <std::uint64_t MemoryRegion::*Base>
std::span<std::uint8_t> GuestMemory::find(std::uint64_t address, std::uint64_t size) const {
  for (const Region& region : regions_) {
    const std::uint64_t base = region.layout.*Base;
    if (address < base || address - base >= region.layout.size ||
        size > region.layout.size - (address - base)) {
      continue;
    }
    return {region.mapping->start + (address - base), size};
  }
  return {};
}

std::span<std::uint8_t> GuestMemory::at_guest_address(std::uint64_t address, std::uint64_t size) const {
  return find<&MemoryRegion::guest_address>(address, size);
}

std::span<std::uint8_t> GuestMemory::at_user_address(std::uint64_t address, std::uint64_t size) const {
  return find<&MemoryRegion::user_address>(address, size);
}

bool GuestMemory::damaged() const {
  for (const Region& region : regions_) {
    if (region.mapping->damaged.load()) return true;
  }
  return false;
}

}  // namespace rookery::vhost_user
