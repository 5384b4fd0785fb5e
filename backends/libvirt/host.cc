#include "backends/libvirt/host.h"

#include <fmt/format.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <pwd.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "base/file.h"

namespace rookery::backends {
namespace {

namespace fs = std::filesystem;

// As many calls at a time: libvirt creates domains side by side.
constexpr unsigned kThreads = 4;
// A lost connection is tried so often, after 1, 2, 4 and 8 seconds. Not at once: a daemon that ends removes
// its socket when it is all but gone, and would take that of the successor whom we had started with it.
constexpr unsigned kTries = 4;
// A remote libvirt that answers nothing for so many seconds, so often, is gone.
constexpr unsigned kKeepAliveInterval = 5, kKeepAliveCount = 4;

// libvirt's event loop is the process's: it is registered once, before anything is opened, and runs in a
// thread of its own until the process ends.
void run_libvirts_loop() {
  static std::once_flag once;
  std::call_once(once, [] {
    // What goes wrong comes back as an error; libvirt need not write it to our standard error as well.
    ::setenv("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null", 0);
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
    if (virEventRegisterDefaultImpl() < 0) bug("libvirt has no event loop");
    sigset_t all, before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread([] {
      // Something must always be waited for, or the loop would spin.
      virEventAddTimeout(
          1000, [](int, void*) {}, nullptr, nullptr);
      while (virEventRunDefaultImpl() == 0) {
      }
    }).detach();
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  });
}

// The embedded driver keeps all that it has below its root. What it found out of QEMU is kept with the user's
// other things that can be made again: finding it out takes seconds.
Status prepare_root(const fs::path& root) {
  std::error_code error;
  fs::create_directories(root / "etc", error);
  if (error) return fail_errno("cannot make " + root.string(), error.value());
  const auto own = cache_folder();
  if (!own) return tl::unexpected<Error>(own.error());
  const fs::path cache = *own / "libvirt";
  fs::create_directories(cache, error);
  // Where that may only be read, the driver finds it out anew.
  if (::access(cache.c_str(), W_OK) == 0 && !fs::exists(fs::symlink_status(root / "cache")))
    fs::create_directory_symlink(cache, root / "cache", error);
  std::string configuration = "stdio_handler = \"file\"\nsecurity_driver = \"none\"\n";
  if (::geteuid() == 0)
    configuration +=
        "user = \"+0\"\ngroup = \"+0\"\ndynamic_ownership = 0\nremember_owner = 0\nnamespaces = [ ]\n"
        "cgroup_controllers = [ ]\n";
  return write_file(root / "etc/qemu.conf", configuration);
}

// Who is told of a connection's events; they come in libvirt's thread.
struct Listener {
  std::shared_ptr<Inbox> inbox;
  LibvirtHost* host;  // to be used from the inbox only: it is closed before the host goes
};
void free_listener(void* opaque) {
  delete static_cast<Listener*>(opaque);
}

std::string uuid_of(virDomainPtr domain) {
  char text[VIR_UUID_STRING_BUFLEN] = "";
  virDomainGetUUIDString(domain, text);
  return text;
}

void on_lifecycle(virConnectPtr, virDomainPtr domain, int event, int detail, void* opaque) {
  if (event != VIR_DOMAIN_EVENT_STARTED && event != VIR_DOMAIN_EVENT_STOPPED) return;
  const auto* listener = static_cast<Listener*>(opaque);
  listener->inbox->post([host = listener->host, uuid = uuid_of(domain), event, detail] {
    DomainEvents* machine = host->find(uuid);
    if (machine == nullptr) return;
    if (event == VIR_DOMAIN_EVENT_STARTED) return machine->started();
    machine->stopped(detail);
  });
}

void on_shutdown(virConnectPtr, virDomainPtr domain, const char*, long long, unsigned, const char* details,
                 void* opaque) {
  const auto* listener = static_cast<Listener*>(opaque);
  listener->inbox->post(
      [host = listener->host, uuid = uuid_of(domain), said = std::string(details != nullptr ? details : "")] {
        if (DomainEvents* machine = host->find(uuid)) machine->qemu_said(said);
      });
}

void on_close(virConnectPtr, int reason, void* opaque) {
  const auto* listener = static_cast<Listener*>(opaque);
  const char* why = reason == VIR_CONNECT_CLOSE_REASON_KEEPALIVE ? "it answers no more"
                    : reason == VIR_CONNECT_CLOSE_REASON_EOF     ? "it closed the connection"
                                                                 : "the connection broke";
  listener->inbox->post([host = listener->host, why] { host->closed(why); });
}

Result<ConnectionHandle> open_connection(const LibvirtUri& uri) {
  run_libvirts_loop();
  virConnectPtr raw = virConnectOpen(uri.text().c_str());
  if (raw == nullptr) {
    Error error = libvirt_error("cannot open " + uri.text());
    error.message += advice(uri, error.message);
    return tl::unexpected<Error>(std::move(error));
  }
  return ConnectionHandle(raw, [](virConnect* connection) { virConnectClose(connection); });
}

// Domains are those of libvirt's list that are ours.
Result<std::vector<DomainHandle>> domains_of(virConnectPtr connection, const DomainOwner& owner) {
  virDomainPtr* list = nullptr;
  const int count = virConnectListAllDomains(connection, &list, 0);
  if (count < 0) return tl::unexpected<Error>(libvirt_error("cannot list domains"));
  std::vector<DomainHandle> ours;
  for (int i = 0; i < count; ++i) {
    DomainHandle domain(list[i], [](virDomain* one) { virDomainFree(one); });
    const std::string name = virDomainGetName(domain.get());
    char* metadata = virDomainGetMetadata(domain.get(), VIR_DOMAIN_METADATA_ELEMENT, kMetadataNamespace, 0);
    if (is_ours(owner, name, uuid_of(domain.get()), metadata != nullptr)) ours.push_back(std::move(domain));
    std::free(metadata);
  }
  std::free(list);
  return ours;
}

Result<std::vector<std::string>> destroy_ours(virConnectPtr connection, const DomainOwner& owner) {
  const auto ours = domains_of(connection, owner);
  if (!ours) return tl::unexpected<Error>(ours.error());
  std::vector<std::string> names;
  for (const DomainHandle& domain : *ours) {
    names.emplace_back(virDomainGetName(domain.get()));
    if (virDomainDestroy(domain.get()) == 0) continue;
    const int code = virGetLastErrorCode();
    // It went by itself meanwhile: the embedded driver ends what it cannot take up again.
    if (code != VIR_ERR_NO_DOMAIN && code != VIR_ERR_OPERATION_INVALID)
      return tl::unexpected<Error>(libvirt_error("cannot destroy " + names.back()));
  }
  return names;
}

void listen_to(virConnectPtr connection, const std::shared_ptr<Inbox>& inbox, LibvirtHost* host) {
  virConnectDomainEventRegisterAny(connection, nullptr, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                   VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), new Listener{inbox, host},
                                   free_listener);
  // These three where there is something of the kind: QEMU's own words, a connection that can end.
  auto* listener = new Listener{inbox, host};
  if (virConnectDomainQemuMonitorEventRegister(connection, nullptr, "SHUTDOWN", on_shutdown, listener,
                                               free_listener, 0) < 0)
    delete listener;
  listener = new Listener{inbox, host};
  if (virConnectRegisterCloseCallback(connection, on_close, listener, free_listener) < 0) delete listener;
  virConnectSetKeepAlive(connection, kKeepAliveInterval, kKeepAliveCount);
  virResetLastError();
}

}  // namespace

std::string advice(const LibvirtUri& uri, std::string_view said) {
  const auto has = [&](std::string_view words) { return said.find(words) != std::string_view::npos; };
  if (has("Failed to parse user"))
    return "; root's QEMU is that user's: adduser --system --group libvirt-qemu, or run as an ordinary user";
  if (has("no connection driver available") || has("Failed to load module"))
    return "; install: libvirt-daemon-driver-qemu";
  if (has("Permission denied") || has("authentication")) {
    if (uri.path == "/system" && uri.host.empty())
      return "; who is in the group libvirt may: adduser <you> libvirt; or use qemu:///embed, which asks "
             "nobody";
    return "; this user lacks the right to it";
  }
  if (uri.path == "/system" && uri.host.empty() && has("No such file or directory"))
    return "; no libvirtd runs on this host: install libvirt-daemon-system, or use qemu:///embed";
  if (has("libvirtd") && has("No such file or directory")) return "; install: libvirt-daemon";
  return "";
}

Error libvirt_error(std::string_view doing) {
  const char* said = virGetLastErrorMessage();
  std::string message = fmt::format("{}: libvirt: {}", doing, said);
  if (virGetLastErrorCode() == VIR_ERR_OPERATION_DENIED) {
    message +=
        "; this connection may look and not make (a socket for reading only, libvirt-sock-ro, or the host's "
        "rules): name another socket in 'uri', or ask who runs that libvirt for the right";
  }
  if (message.find("libvirt_iohelper") != std::string::npos)
    message += "; libvirt saves memory by a program of its own; install: libvirt-daemon";
  return Error{ErrorKind::infrastructure, std::move(message)};
}

LibvirtHost::LibvirtHost(EventLoop& loop, LibvirtSetup setup)
    : loop_(loop),
      setup_(std::move(setup)),
      workers_(std::make_shared<Workers>(kThreads)),
      inbox_(std::make_shared<Inbox>(loop)) {
  if (setup_.uri.embedded() && setup_.uri.query.empty())
    setup_.uri.query = "root=" + setup_.embed_root.string();
}

LibvirtHost::~LibvirtHost() {
  loop_.cancel(next_try_);
  inbox_->close();
  connection_.reset();
  std::error_code ignored;
  if (setup_.record && all_ended_) fs::remove_all(setup_.record->path, ignored);
}

DomainEvents* LibvirtHost::find(const std::string& uuid) const {
  const auto found = machines_.find(uuid);
  return found == machines_.end() ? nullptr : found->second;
}

Status LibvirtHost::open() {
  if (connection_) return {};
  if (setup_.uri.embedded()) {
    run_libvirts_loop();
    if (!setup_.embed_root.empty()) ROOKERY_TRY(prepare_root(setup_.embed_root));
    std::error_code ignored;
    for (const fs::path& folder : process_folders()) fs::create_directories(folder, ignored);
    ROOKERY_TRY(qemu_reaper_.watch(process_folders()));
  }
  auto opened = std::make_shared<std::promise<Result<ConnectionHandle>>>();
  auto answer = opened->get_future();
  const bool begun =
      workers_->run([opened, uri = setup_.uri, owner = setup_.owner, inbox = inbox_, host = this] {
        auto connection = open_connection(uri);
        if (connection) {
          if (auto left = destroy_ours(connection->get(), owner); !left)
            connection = tl::unexpected<Error>(std::move(left.error()).while_doing("what a killed run left"));
        }
        if (connection) listen_to(connection->get(), inbox, host);
        opened->set_value(std::move(connection));
      });
  if (!begun || answer.wait_for(kPatience) != std::future_status::ready) {
    return fail(ErrorKind::timeout, fmt::format("{} did not open within {} s: is it reachable?",
                                                setup_.uri.text(), kPatience / std::chrono::seconds(1)));
  }
  auto connection = answer.get();
  if (!connection) return tl::unexpected<Error>(connection.error());
  // A daemon makes its folders when it starts; one that is reached by a carrier of the user's (qemu+ext) may
  // have them elsewhere.
  if (!setup_.uri.embedded()) ROOKERY_TRY(qemu_reaper_.watch(process_folders()));
  connection_ = std::move(*connection);
  return {};
}

void LibvirtHost::closed(const std::string& why) {
  if (!connection_) return;
  lost_ = fmt::format("the connection to {} was lost: {}", setup_.uri.text(), why);
  connection_.reset();
  tries_ = 0;
  try_again_later();
}

void LibvirtHost::try_again_later() {
  next_try_ = loop_.after(std::chrono::seconds(1 << tries_++), [this] {
    next_try_ = {};
    try_again();
  });
}

// Calls that wait belong into a worker; what came of it, back here.
void LibvirtHost::try_again() {
  workers_->run([inbox = inbox_, host = this, uri = setup_.uri] {
    auto connection = open_connection(uri);
    if (connection) listen_to(connection->get(), inbox, host);
    inbox->post([host, connection = std::move(connection)] { host->opened_again(connection); });
  });
}

void LibvirtHost::opened_again(const Result<ConnectionHandle>& connection) {
  const auto machines = machines_;
  if (connection) {
    connection_ = *connection;
    for (const auto& [uuid, machine] : machines) machine->connected_again();
    // If it was gone before it was listened to, nobody tells.
    if (virConnectIsAlive(connection_.get()) == 0) closed("it closed the connection");
  } else if (tries_ < kTries) {
    try_again_later();
  } else {
    all_ended_ = false;
    for (const auto& [uuid, machine] : machines) machine->connection_lost(lost_);
  }
}

// Where libvirt's QEMU driver writes process numbers, if it runs as we do: of domains, and below the second
// of QEMUs that it asks what they can do.
std::vector<fs::path> LibvirtHost::process_folders() const {
  if (!setup_.uri.runs_as_us()) return {};
  if (setup_.uri.embedded()) {
    const fs::path root = setup_.uri.embed_root();
    return {root / "run/qemu", root / "lib/qemu"};
  }
  const auto of_user = [](const char* variable, const fs::path& otherwise) {
    const char* folder = std::getenv(variable);
    return folder != nullptr ? fs::path(folder) : otherwise;
  };
  return {of_user("XDG_RUNTIME_DIR", "") / "libvirt/qemu/run",
          of_user("XDG_CONFIG_HOME", home_folder().value_or(fs::path()) / ".config") / "libvirt/qemu/lib"};
}

fs::path LibvirtHost::pid_file(const std::string& domain) const {
  const auto folders = process_folders();
  return folders.empty() ? fs::path() : folders[0] / (domain + ".pid");
}

std::string LibvirtHost::log_of(const std::string& domain) const {
  if (!setup_.uri.embedded()) return "";
  std::ifstream log(fs::path(setup_.uri.embed_root()) / "log/qemu" / (domain + ".log"));
  std::string last;
  for (std::string line; std::getline(log, line);) {
    const std::size_t said = line.find("qemu-system");
    if (said != std::string::npos && line.find(": ", said) != std::string::npos) last = line.substr(said);
  }
  return last.substr(0, 400);
}

Result<std::vector<std::string>> destroy_domains_of(const LibvirtSetup& setup) {
  LibvirtUri uri = setup.uri;
  if (uri.embedded() && uri.query.empty()) uri.query = "root=" + setup.embed_root.string();
  auto connection = open_connection(uri);
  if (!connection) return tl::unexpected<Error>(connection.error());
  return destroy_ours(connection->get(), setup.owner);
}

}  // namespace rookery::backends
