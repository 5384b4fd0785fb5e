// `rookery ssh`: the system's ssh, through the management network. What it needs lies in the lab's private
// folder: for each machine the host key that it was seen to have, and, in a lab without authorized keys, a
// key of the lab's own. The host key comes by the agent's channel, which nothing else can speak on, so that
// ssh has something to check against from the first time on; no secret leaves the place where it was made.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/command.h"
#include "base/file.h"
#include "base/signals.h"
#include "vboot/cli/lab_client.h"

namespace rookery::vboot {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGuestScript = "/usr/lib/rookery/ssh";

// For a shell, which ssh starts its ProxyCommand with; and for ssh, to which % is special.
std::string in_shell_quotes(std::string_view text) {
  std::string out = "'";
  for (char c : text)
    out += c == '\'' ? std::string("'\\''") : c == '%' ? std::string("%%") : std::string(1, c);
  return out + "'";
}

// An option of ssh with a path. In a path ssh expands % and ${…}, and quotes end it: so the option names a
// variable, whose value is taken as it is (ssh_config(5), ENVIRONMENT VARIABLES).
std::string path_option(const char* option, const char* variable, const fs::path& path) {
  ::setenv(variable, path.c_str(), 1);
  return fmt::format("{}=${{{}}}", option, variable);
}

Result<fs::path> own_program() {
  std::error_code error;
  fs::path path = fs::read_symlink("/proc/self/exe", error);
  if (error) return fail("cannot find this program: " + error.message());
  return path;
}

// The lab's key, made when first asked for. Whoever is second finds the first one's.
Result<fs::path> lab_key(const fs::path& folder) {
  fs::path key = folder / "lab_key";
  std::error_code error;
  if (fs::exists(key.string() + ".pub", error)) return key;
  auto work = TemporaryFolder::make(folder, "new-key-");
  if (!work) return tl::unexpected<Error>(work.error());
  const fs::path made = work->path() / "key";
  const auto done = run_checked(
      {{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rookery-lab", "-f", made.string()}, {}});
  if (!done) return tl::unexpected<Error>(done.error());
  // The private part first and never replaced: a public part means that its private part is there.
  if (::link(made.c_str(), key.c_str()) == 0) {
    fs::rename(made.string() + ".pub", key.string() + ".pub", error);
    if (error) return fail("cannot keep " + key.string() + ": " + error.message());
    return key;
  }
  if (errno != EEXIST) return fail_errno("cannot keep " + key.string());
  const auto pub = run_checked({{"ssh-keygen", "-y", "-f", key.string()}, {}});
  if (!pub) return tl::unexpected<Error>(pub.error());
  ROOKERY_TRY(write_file(key.string() + ".pub", pub->output));
  return key;
}

// One host key as ssh-keygen writes it, and nothing else: what a machine says goes into a file of ours.
bool is_host_key(std::string_view line) {
  constexpr std::string_view kType = "ssh-ed25519 ";
  return line.starts_with(kType) && line.size() < 1024 &&
         std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// Has the machine take the keys and start its sshd, unless it has; its host key.
Result<std::string> prepare(ControlClient& client, const std::string& machine,
                            const std::vector<std::string>& keys) {
  ExecRequest request;
  request.machines.names = {machine};
  request.argv = {kGuestScript};
  request.argv.insert(request.argv.end(), keys.begin(), keys.end());
  std::string said, complaint;
  int code = 0;
  const auto on_event = [&](const ControlEvent& event) -> Status {
    if (event.name == "output") {
      const auto output = output_of(event);
      if (!output) return tl::unexpected<Error>(output.error());
      std::string& to = output->stream == "stdout" ? said : complaint;
      if (to.size() < 4096) to += output->data;
    } else if (event.name == "exited") {
      const auto exited = exited_of(event);
      if (!exited) return tl::unexpected<Error>(exited.error());
      code = exited->exit_code;
    } else if (event.name == "unreachable") {
      const bool is_late = text_of(event.fields, "kind") == to_text(ErrorKind::timeout);
      return fail(is_late ? ErrorKind::timeout : ErrorKind::expectation, text_of(event.fields, "reason"));
    }
    return {};
  };
  if (const auto done = client.stream(request, on_event); !done) return tl::unexpected<Error>(done.error());
  while (!said.empty() && said.back() == '\n') said.pop_back();
  if (code == 0 && is_host_key(said)) return said;
  while (!complaint.empty() && complaint.back() == '\n') complaint.pop_back();
  return fail(ErrorKind::expectation, fmt::format("{} could not make itself ready for ssh (exit code {}): {}",
                                                  machine, code, complaint));
}

}  // namespace

Result<int> run_ssh(const LabChoice& lab, const std::string& who, const std::vector<std::string>& command) {
  const std::size_t at = who.rfind('@');
  const std::string user = at == std::string::npos ? "root" : who.substr(0, at);
  const std::string machine = at == std::string::npos ? who : who.substr(at + 1);
  const auto ssh = find_program("ssh", "openssh-client");
  if (!ssh) return tl::unexpected<Error>(ssh.error());
  auto client = connect(lab);
  if (!client) return tl::unexpected<Error>(client.error());
  const auto runtime = runtime_folder();
  if (!runtime) return tl::unexpected<Error>(runtime.error());
  const fs::path folder = *runtime / client->lab() / "ssh";
  std::error_code error;
  fs::create_directory(folder, error);  // in a folder that is the user's alone
  if (error) return fail("cannot make " + folder.string() + ": " + error.message());

  // The lab's authorized keys, which every machine has, are the user's own affair.
  fs::path own_key;
  std::vector<std::string> keys;
  if (!fs::exists(folder / "authorized_keys", error)) {
    auto made = lab_key(folder);
    if (!made) return tl::unexpected<Error>(made.error());
    own_key = *made;
    auto text = read_file(own_key.string() + ".pub");
    if (!text) return tl::unexpected<Error>(text.error());
    keys.push_back(text->substr(0, text->find('\n')));
  }
  const auto host_key = prepare(*client, machine, keys);
  if (!host_key) return tl::unexpected<Error>(host_key.error());
  const fs::path known = folder / ("known_hosts." + machine);
  ROOKERY_TRY(write_file(known, machine + " " + *host_key + "\n", 0600));

  const auto self = own_program();
  if (!self) return tl::unexpected<Error>(self.error());
  std::vector<std::string> words{
      ssh->string(),
      "-o",
      fmt::format("ProxyCommand={} forward --lab {} --stdio {}", in_shell_quotes(self->string()),
                  in_shell_quotes(client->lab()), in_shell_quotes(machine + ":22")),
      "-o",
      "HostKeyAlias=" + machine,
      "-o",
      path_option("UserKnownHostsFile", "ROOKERY_SSH_KNOWN_HOSTS", known),
      "-o",
      "GlobalKnownHostsFile=/dev/null",
      "-o",
      "StrictHostKeyChecking=yes",
      "-o",
      "HostKeyAlgorithms=ssh-ed25519",
      "-o",
      "UpdateHostKeys=no",
      "-l",
      user};
  if (!own_key.empty())
    words.insert(words.end(), {"-o", path_option("IdentityFile", "ROOKERY_SSH_IDENTITY", own_key)});
  words.insert(words.end(), {"--", machine});
  words.insert(words.end(), command.begin(), command.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  restore_signals();
  ::execv(argv[0], argv.data());
  return fail_errno("cannot start " + ssh->string());
}

}  // namespace rookery::vboot
