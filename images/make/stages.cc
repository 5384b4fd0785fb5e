#include "images/make/stages.h"

#include <elf.h>

#include "base/bytes.h"
#include "base/file.h"
#include "images/make/archive_writer.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {
constexpr std::size_t kProgramHeadersLimit = 128;
}

Status check_static_program(const fs::path& program) {
  const auto content = read_file(program);
  if (!content) return tl::unexpected<Error>(content.error());
  const ByteView bytes = as_bytes(*content);
  // ELF-64 (System V gABI, "ELF Header"): e_machine at 18, e_phoff at 32, e_phentsize at 54, e_phnum at 56.
  ByteReader header(bytes);
  const ByteView magic = header.take(EI_NIDENT);
  header.le16();
  const std::uint16_t machine = header.le16();
  header.take(12);
  const std::uint64_t table = header.le64();
  header.take(14);
  const std::uint16_t entry_size = header.le16(), entries = header.le16();
  if (!header.ok() || as_text(magic.first(SELFMAG)) != ELFMAG || magic[EI_CLASS] != ELFCLASS64 ||
      machine != EM_X86_64 || entries > kProgramHeadersLimit) {
    return fail(program.string() + " is not a program for x86-64 Linux");
  }
  for (std::uint64_t i = 0; i < entries; ++i) {
    ByteReader entry(bytes);
    entry.take(std::min<std::uint64_t>(table, bytes.size()));
    entry.take(i * entry_size);
    const std::uint32_t type = entry.le32();
    if (!entry.ok()) return fail(program.string() + " is damaged: its program headers lie outside");
    if (type == PT_INTERP)
      return fail(program.string() + " needs shared libraries; it must be linked statically");
  }
  return {};
}

Status write_stage(int stage, const fs::path& guest, const fs::path& busybox, std::int64_t date,
                   const fs::path& destination) {
  const auto guest_content = read_file(guest);
  const auto busybox_content = read_file(busybox);
  if (!guest_content) return tl::unexpected<Error>(guest_content.error());
  if (!busybox_content) return tl::unexpected<Error>(busybox_content.error());
  auto writer = ArchiveWriter::create(destination, ArchiveWriter::Format::initramfs, date);
  if (!writer) return tl::unexpected<Error>(writer.error());
  for (const char* folder : {"bin", "dev", "newroot", "proc", "run", "sys", "tmp"}) {
    ROOKERY_TRY(writer->add({folder, S_IFDIR | 0755, {}}));
  }
  // Without /dev/console the kernel starts /init with no standard output at all.
  ROOKERY_TRY(writer->add_device("dev/console", 0600, 5, 1));
  ROOKERY_TRY(writer->add_device("dev/null", 0666, 1, 3));
  ROOKERY_TRY(writer->add({"stage" + std::to_string(stage), 0444, {}}));
  // The second stage needs busybox only where there are modules to load, and gets it with them
  // (modules.cpio).
  if (stage == 1) ROOKERY_TRY(writer->add({"bin/busybox", 0755, *busybox_content}));
  ROOKERY_TRY(writer->add({"rookery-guest", 0755, *guest_content}));
  ROOKERY_TRY(writer->add({"init", S_IFLNK | 0777, "rookery-guest"}));
  return writer->finish();
}

}  // namespace rookery::images
