#include "images/make/uml_kernel.h"

#include "base/command.h"
#include "base/file.h"
#include "base/json/fields.h"
#include "images/make/stages.h"
#include "images/store/manifest.h"

namespace rookery::images {

namespace fs = std::filesystem;

namespace {

// The folder with linux and kernel.json.
Result<fs::path> build_uml_kernel(const UmlKernelWish& wish, const Progress& progress) {
  Command command{{(wish.recipes / "kernel" / "build").string()}, {}};
  if (wish.storage) command.argv.emplace_back("--storage");
  if (wish.refresh) command.argv.emplace_back("--refresh");
  command.on_line = progress;
  command.stop = wish.stop;
  auto done = run_checked(command);
  if (!done)
    return tl::unexpected<Error>(Error(done.error()).while_doing("building the User-Mode Linux kernel"));
  std::string folder = done->output.substr(0, done->output.find('\n'));
  if (folder.empty() || !fs::exists(fs::path(folder) / "linux")) {
    return fail("images/make/kernel/build gave no kernel, but \"" + folder + "\"");
  }
  return fs::path(folder);
}

}  // namespace

Result<UmlKernel> make_uml_kernel(const UmlKernelWish& wish, const Progress& progress) {
  auto folder = build_uml_kernel(wish, progress);
  if (!folder) return tl::unexpected<Error>(folder.error());
  UmlKernel kernel{*folder / "linux", {}, {}};
  const fs::path description = *folder / "kernel.json";
  const auto text = read_file(description, Bytes{1 << 16});
  if (!text) return tl::unexpected<Error>(text.error());
  const auto json = parse_json_file(*text);
  if (!json) return fail(description.string() + ": " + json.error().message);
  FieldReader fields(*json, "kernel");
  for (const char* field : {"schema", "source", "source_version", "suite", "recipe"})
    fields.text(field, kTextLimit);
  kernel.release = fields.text("release", kTextLimit);
  kernel.digest = fields.digest("sha256");
  ROOKERY_TRY(fields.finish());
  const auto found = sha256_of_file(kernel.program);
  if (!found) return tl::unexpected<Error>(found.error());
  if (*found != kernel.digest) return fail(kernel.program.string() + " is damaged; remove its folder");
  ROOKERY_TRY(check_static_program(kernel.program));
  return kernel;
}

}  // namespace rookery::images
