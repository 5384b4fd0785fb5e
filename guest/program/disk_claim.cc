#include "guest/program/disk_claim.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/unique_fd.h"

namespace rookery::guest {
namespace {

// The key that a claim is known by: ours, and the machine's address.
constexpr std::uint64_t kMark = 0x524b5259ull << 32;  // "RKRY"

// SPC-4 §6.16.2 and table 231: what PERSISTENT RESERVE OUT is to do, and a reservation for one alone.
enum class Action : std::uint8_t { reserve = 1, preempt = 4, register_anew = 6 };
constexpr std::uint8_t kExclusiveAccess = 3;

// The command's SCSI status. Not by the kernel's own calls (linux/pr.h): those ask that a registration
// outlives the target's power, which tgt cannot promise and so refuses.
Result<unsigned> ask(int fd, ByteView command, ByteBuffer& data, int direction) {
  std::uint8_t sense[32];
  sg_io_hdr io{};
  io.interface_id = 'S';
  io.dxfer_direction = direction;
  io.cmdp = const_cast<std::uint8_t*>(command.data());
  io.cmd_len = static_cast<unsigned char>(command.size());
  io.dxferp = data.data();
  io.dxfer_len = static_cast<unsigned>(data.size());
  io.sbp = sense;
  io.mx_sb_len = sizeof sense;
  io.timeout = 30'000;  // milliseconds
  if (ioctl(fd, SG_IO, &io) != 0) return fail_errno("asking the disk for a reservation");
  return io.status;
}

Result<bool> tell(int fd, Action action, std::uint64_t key, std::uint64_t service_key) {
  const std::uint8_t command[] = {
      0x5f, static_cast<std::uint8_t>(action), kExclusiveAccess, 0, 0, 0, 0, 0, 24, 0};
  ByteBuffer keys = ByteWriter().be64(key).be64(service_key).zeros(8).take();
  const Result<unsigned> status = ask(fd, command, keys, SG_DXFER_TO_DEV);
  if (!status) return tl::unexpected(status.error());
  return *status == 0;
}

// Who holds it: PERSISTENT RESERVE IN, READ RESERVATION (SPC-4 §6.15.3). 0: nobody.
Result<std::uint64_t> holder_of(int fd) {
  const std::uint8_t command[] = {0x5e, 1, 0, 0, 0, 0, 0, 0, 24, 0};
  ByteBuffer answer(24);
  const Result<unsigned> status = ask(fd, command, answer, SG_DXFER_FROM_DEV);
  if (!status) return tl::unexpected(status.error());
  if (*status != 0) return fail("the disk knows no reservations, so that nobody may write to it");
  ByteReader reader(answer);
  reader.be32();  // generation
  return reader.be32() < 16 ? std::uint64_t{0} : reader.be64();
}

}  // namespace

Result<std::string> claim_disk(const std::string& device, const std::string& address) {
  in_addr own{};
  if (inet_pton(AF_INET, address.c_str(), &own) != 1) return fail("a machine without an address has no disk");
  const std::uint64_t key = kMark | ntohl(own.s_addr);
  const UniqueFd disk(open(device.c_str(), O_RDWR | O_CLOEXEC));
  if (!disk) return fail_errno(device);
  Result<bool> done = tell(disk.get(), Action::register_anew, 0, key);
  if (done && *done) done = tell(disk.get(), Action::reserve, key, 0);
  if (!done) return tl::unexpected(done.error());
  if (*done) return address;
  const Result<std::uint64_t> holder = holder_of(disk.get());
  if (!holder) return tl::unexpected(holder.error());
  if (*holder == key) {  // this machine's, before a reset
    done = tell(disk.get(), Action::preempt, key, key);
    if (done && *done) return address;
  }
  if (*holder >> 32 != kMark >> 32 || *holder == key) return fail(device + " grants no claim");
  in_addr other{};
  other.s_addr = htonl(static_cast<std::uint32_t>(*holder));
  char text[INET_ADDRSTRLEN];
  return std::string(inet_ntop(AF_INET, &other, text, sizeof text));
}

}  // namespace rookery::guest
