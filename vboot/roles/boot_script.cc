// One iPXE script for every machine: what differs between them, the machine knows and the script asks
// (${platform}). Each platform lists the digests of its initrds in the order in which they are loaded; stage
// one checks them.
#include <fmt/format.h>

#include <algorithm>

#include "images/medium/boot_loader.h"
#include "vboot/roles/boot_server.h"

namespace rookery::vboot {
namespace {

constexpr std::string_view kStageTwo = "stage2.cpio";
constexpr std::string_view kKernel = "vmlinuz";
constexpr std::string_view kModules = "modules.cpio";
constexpr std::string_view kSan = "san.cpio";

bool is_sha256(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// It would stand in a command line: a digest that is none must not get there.
Result<const ImageComponent*> component(const ImageFacts& image, std::string_view name) {
  const ImageComponent* found = image.find(name);
  if (found == nullptr) return fail(fmt::format("the image has no {}", name));
  if (!is_sha256(found->sha256)) return fail(fmt::format("the image's {} has no SHA-256 digest", name));
  return found;
}

// Where the lab gives its machines something, they wait for it before their system starts (stage_two.cc).
std::string arguments(const LabPlan& plan, std::string_view digests) {
  return fmt::format("rookery.share=${{share}} rookery.initrd.sha256={}{}", digests,
                     plan.gives() ? " rookery.handover=1" : "");
}

// For machines with firmware. An image without a kernel for them says so on the machine's screen.
Result<std::string> firmware_part(const LabPlan& plan, const ImageFacts& image,
                                  const ImageComponent& stage_two, const ImageComponent* san) {
  if (image.find(kKernel) == nullptr) {
    return std::string("echo Rookery: this image has no kernel for ${platform}\ngoto failed\n");
  }
  auto kernel = component(image, kKernel);
  if (!kernel) return tl::unexpected(kernel.error());
  std::string digests = stage_two.sha256;
  std::string initrds = fmt::format("initrd ${{base}}/{} || goto failed\n", kStageTwo);
  std::string names = fmt::format("initrd={}", kStageTwo);
  const auto add = [&](const ImageComponent& more) {
    digests += "," + more.sha256;
    initrds += fmt::format("initrd ${{base}}/{} || goto failed\n", more.name);
    names += fmt::format(" initrd={}", more.name);
  };
  if (image.find(kModules) != nullptr) {
    auto found = component(image, kModules);
    if (!found) return tl::unexpected(found.error());
    add(**found);
  }
  if (san != nullptr) add(*san);
  // Under UEFI the kernel's own loader fetches the initrds from iPXE, by these names.
  return fmt::format("iseq ${{platform}} efi && set initrds {} ||\n", names) +
         fmt::format("kernel ${{base}}/{} ${{initrds}} {} {} rookery.kernel.sha256={} || goto failed\n",
                     kKernel, images::kFirmwareKernelWords, arguments(plan, digests), (*kernel)->sha256) +
         initrds + "boot || goto failed\n";
}

}  // namespace

Result<std::string> boot_script(const LabPlan& plan, const ImageFacts& image, const BootWay& way) {
  const RootKind root = way.root;
  auto stage_two = component(image, kStageTwo);
  if (!stage_two) return tl::unexpected(stage_two.error());
  // User-Mode Linux has all of it in its kernel but the iSCSI login; others need modules, too.
  const ImageComponent* san = nullptr;
  if (root == RootKind::iscsi || root == RootKind::nfs) {
    auto found = component(image, kSan);
    if (!found) return tl::unexpected(found.error());
    san = *found;
  }
  const ImageComponent* uml_san = root == RootKind::iscsi ? san : nullptr;
  auto firmware = firmware_part(plan, image, **stage_two, san);
  if (!firmware) return firmware;
  std::string script = "#!ipxe\n";
  script += fmt::format("# Boots every machine of lab {}{} (made by the role boot-server).\n", plan.name,
                        root == RootKind::nbd
                            ? ""
                            : fmt::format(" with root by {}", kRootWords[static_cast<std::size_t>(root)]));
  script += "set base http://${next-server}\n";
  script += fmt::format("set share {}{}\n", share_url(plan, root), changes_words(plan, way.changes));
  script += "iseq ${platform} uml && goto uml ||\n";
  script += *firmware;
  script += ":uml\n# User-Mode Linux keeps the kernel that it runs and goes on in the second stage.\n";
  script += fmt::format("initrd ${{base}}/{} || goto failed\n", kStageTwo);
  if (uml_san != nullptr) script += fmt::format("initrd ${{base}}/{} || goto failed\n", kSan);
  script +=
      fmt::format("imgargs {} {}\n", kStageTwo,
                  arguments(plan, (*stage_two)->sha256 + (uml_san != nullptr ? "," + uml_san->sha256 : "")));
  script += fmt::format("boot {} || goto failed\n", kStageTwo);
  script += ":failed\necho Rookery: the boot script failed on ${platform} ${net0/mac}\nexit 1\n";
  return script;
}

}  // namespace rookery::vboot
