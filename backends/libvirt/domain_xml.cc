#include "backends/libvirt/domain_xml.h"

#include <fmt/format.h>
#include <sys/un.h>

#include "base/digest.h"

namespace rookery::backends {
namespace {

constexpr std::size_t kSocketPathMost = sizeof(sockaddr_un::sun_path) - 1;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&apos;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// Lines of XML, each element's content two further in.
class Writer {
 public:
  void line(std::string_view text) { text_ += std::string(depth_, ' ').append(text).append("\n"); }
  void open(std::string_view tag) {
    line(tag);
    depth_ += 2;
  }
  void close(std::string_view name) {
    depth_ -= 2;
    line(fmt::format("</{}>", name));
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  std::size_t depth_ = 0;
};

class DomainWriter {
 public:
  DomainWriter(const LibvirtUri& uri, const MachineSpec& spec, bool kvm, const LibvirtFiles& files)
      : uri_(uri), spec_(spec), kvm_(kvm), files_(files) {}

  std::string write(const DomainOwner& owner) {
    xml_.open(fmt::format("<domain type='{}'{}>", type(),
                          is_qemu() ? " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'" : ""));
    xml_.line(fmt::format("<name>{}</name>", domain_name(owner, spec_.name)));
    xml_.line(fmt::format("<uuid>{}</uuid>", domain_uuid(owner, spec_.name)));
    xml_.open("<metadata>");
    xml_.line(fmt::format("<rookery:machine xmlns:rookery='{}' lab='{}' name='{}' owner='{}'/>",
                          kMetadataNamespace, owner.lab, spec_.name, escaped(owner.place)));
    xml_.close("metadata");
    xml_.line(fmt::format("<memory unit='KiB'>{}</memory>", spec_.memory.count >> 10));
    xml_.line("<vcpu>1</vcpu>");
    write_os();
    if (is_qemu()) write_processor();
    xml_.line("<on_poweroff>destroy</on_poweroff>");
    xml_.line("<on_reboot>destroy</on_reboot>");
    xml_.line("<on_crash>destroy</on_crash>");
    write_devices();
    if (is_qemu()) write_arguments();
    xml_.close("domain");
    return xml_.take();
  }

 private:
  bool is_qemu() const { return uri_.driver == LibvirtDriver::qemu; }

  std::string_view type() const {
    switch (uri_.driver) {
      case LibvirtDriver::qemu:
        return kvm_ ? "kvm" : "qemu";
      case LibvirtDriver::test:
        return "test";
      case LibvirtDriver::xen:
        return "xen";
      case LibvirtDriver::lxc:
        return "lxc";
      case LibvirtDriver::esx:
        return "vmware";
    }
    bug("no such driver");
  }

  // What the machine starts from. SeaBIOS, and what it boots, speak on the serial port.
  void write_os() {
    xml_.open("<os>");
    if (uri_.driver == LibvirtDriver::lxc) {
      xml_.line("<type>exe</type>");
      xml_.line("<init>/sbin/init</init>");
      return xml_.close("os");
    }
    const bool has_chipset = is_qemu();
    xml_.line(fmt::format(
        "<type arch='x86_64'{}>hvm</type>",
        has_chipset ? fmt::format(" machine='{}'", spec_.hardware.chipset == Chipset::q35 ? "q35" : "pc")
                    : ""));
    if (is_qemu() && spec_.hardware.firmware == Firmware::uefi) {
      xml_.line(fmt::format("<loader readonly='yes' type='pflash'>{}</loader>",
                            escaped(files_.uefi_code.native())));
      xml_.line(fmt::format("<nvram template='{}'>{}</nvram>", escaped(files_.uefi_variables.native()),
                            escaped((spec_.folder / kNvram).native())));
    }
    if (!spec_.kernel.empty()) {
      xml_.line(fmt::format("<kernel>{}</kernel>", escaped(spec_.kernel.native())));
      xml_.line(fmt::format("<initrd>{}</initrd>", escaped(spec_.initramfs.native())));
      xml_.line(fmt::format("<cmdline>console=ttyS0 {}</cmdline>", escaped(spec_.command_line)));
    }
    if (!is_qemu()) xml_.line("<boot dev='network'/>");  // QEMU's NICs have boot indexes, below
    if (is_qemu() && spec_.hardware.firmware == Firmware::bios) xml_.line("<bios useserial='yes'/>");
    xml_.close("os");
  }

  // As of the QEMU backend; some hosts offer KVM's guests IA32_ARCH_CAPABILITIES and refuse what is written
  // to it.
  void write_processor() {
    xml_.open("<features>");
    xml_.line("<acpi/>");
    xml_.line("<apic/>");
    xml_.close("features");
    if (!kvm_) return xml_.line("<cpu mode='maximum'/>");
    xml_.open("<cpu mode='host-passthrough'>");
    xml_.line("<feature policy='disable' name='arch-capabilities'/>");
    xml_.close("cpu");
  }

  void write_devices() {
    xml_.open("<devices>");
    if (is_qemu()) xml_.line("<controller type='usb' model='none'/>");
    if (uri_.runs_as_us()) {
      xml_.open("<serial type='unix'>");
      xml_.line(fmt::format("<source mode='connect' path='{}'/>",
                            escaped((spec_.folder / kConsoleSocket).native())));
      xml_.close("serial");
    } else if (uri_.driver != LibvirtDriver::esx) {
      xml_.line("<console type='pty'/>");
    }
    if (is_qemu()) {
      xml_.line("<memballoon model='none'/>");
      xml_.line("<panic model='isa'/>");
    }
    xml_.close("devices");
  }

  // libvirt 9.0 has no interface type for a stream on a unix socket, so the NICs are QEMU's own words. The
  // management NIC has no ROM: nothing boots from it, and a boot ROM would ask there for an address. The disk
  // is too: libvirt has neither NVMe nor IDE and SATA of files that are only read (<transient/> writes beside
  // the file). And graphics, because QEMU finds places on the bus for these before it sees those that libvirt
  // chose.
  void write_arguments() {
    xml_.open("<qemu:commandline>");
    if (spec_.hardware.graphics != Graphics::none) argument("-device", qemu_device(spec_.hardware.graphics));
    unsigned boot_index = 0;
    for (std::size_t i = 0; i < spec_.nics.size(); ++i) {
      const NicPlug& nic = spec_.nics[i];
      const NicModel model = nic.management ? NicModel::virtio : spec_.hardware.nic;
      const bool boots = spec_.kernel.empty() && spec_.disks.empty() && !nic.management;
      argument("-netdev", fmt::format("stream,id=net{},server=off,addr.type=unix,addr.path={}", i,
                                      qemu_value(spec_.folder / nic.socket)));
      argument("-device",
               fmt::format("{},netdev=net{},mac={:02x}{}", qemu_device(model), i, fmt::join(nic.mac, ":"),
                           boots ? fmt::format(",bootindex={}", boot_index++) : ",romfile="));
    }
    for (const DiskPlug& disk : spec_.disks) {
      for (const std::string& one : qemu_disk(spec_.hardware, disk.file)) word(one);
    }
    // OVMF without PXE over IPv6, for which nobody answers.
    if (spec_.hardware.firmware == Firmware::uefi)
      argument("-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no");
    for (const std::string& more : spec_.hardware.more_arguments) word(more);
    if (!spec_.disks.empty())
      xml_.line(fmt::format("<qemu:env name='TMPDIR' value='{}'/>", escaped(spec_.folder.native())));
    xml_.close("qemu:commandline");
  }
  void argument(std::string_view option, std::string_view value) {
    word(option);
    word(value);
  }
  void word(std::string_view text) { xml_.line(fmt::format("<qemu:arg value='{}'/>", escaped(text))); }

  const LibvirtUri& uri_;
  const MachineSpec& spec_;
  bool kvm_;
  const LibvirtFiles& files_;
  Writer xml_;
};

}  // namespace

std::string domain_name(const DomainOwner& owner, const std::string& machine) {
  return fmt::format("rookery-{}-{}", owner.lab, machine);
}

std::string domain_uuid(const DomainOwner& owner, const std::string& machine) {
  // RFC 9562 §5.8: version 8 is whatever its maker likes, but for version and variant.
  std::string of = owner.place;
  for (const std::string& part : {owner.lab, machine}) of.append(1, '\0').append(part);
  std::string hex = to_hex(sha256(as_bytes(of))).substr(0, 32);
  hex[12] = '8';
  hex[16] = 'a';
  for (const std::size_t at : {20, 16, 12, 8}) hex.insert(at, "-");
  return hex;
}

bool is_ours(const DomainOwner& owner, const std::string& name, const std::string& uuid, bool has_metadata) {
  const std::string prefix = domain_name(owner, "");
  return has_metadata && name.starts_with(prefix) && uuid == domain_uuid(owner, name.substr(prefix.size()));
}

Result<std::string> domain_xml(const LibvirtUri& uri, const DomainOwner& owner, const MachineSpec& spec,
                               bool kvm, const LibvirtFiles& files) {
  const auto cannot = [&](std::string_view why) {
    return fail(ErrorKind::usage, fmt::format("machine '{}': {}", spec.name, why));
  };
  if (spec.hardware.chipset != Chipset::pc && spec.hardware.chipset != Chipset::q35)
    return cannot("libvirt makes machines of the chipsets pc and q35 only");
  if (const auto why = why_no_disks(spec.hardware, spec.disks.size()); !why.empty()) return cannot(why);
  if (!spec.disks.empty() && !uri.runs_as_us()) {
    return cannot(
        fmt::format("its disk is a file of this lab, which machines of {} do not reach; use "
                    "qemu:///embed or qemu:///session",
                    uri.text()));
  }
  if (uri.driver == LibvirtDriver::qemu) {
    for (const NicPlug& nic : spec.nics) {
      if ((spec.folder / nic.socket).string().size() <= kSocketPathMost) continue;
      return cannot(
          fmt::format("the path of its sockets, {}, is longer than the {} bytes that QEMU takes: set "
                      "XDG_RUNTIME_DIR to a shorter folder",
                      spec.folder.string(), kSocketPathMost));
    }
  }
  return DomainWriter(uri, spec, kvm, files).write(owner);
}

}  // namespace rookery::backends
