#include "backends/qemu/qemu_snapshots.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace rookery::backends {
namespace {

constexpr const char* kFile = "snapshot";  // QEMU's name for the descriptor
constexpr const char* kTakeFile = "getfd";
constexpr Duration kPatience = std::chrono::seconds(60);

using qmp::Value;

qmp::Command command(const char* name, Value arguments = {}) {
  return {.name = name, .arguments = std::move(arguments), .patience = kPatience};
}

// Its end is told by MIGRATION events: nobody has to ask.
qmp::Command with_events() {
  Value events =
      Value::object().set("capability", Value::string("events")).set("state", Value::boolean(true));
  return command("migrate-set-capabilities", Value::object().set("capabilities", Value::array().add(events)));
}

// QEMU keeps to 128 MiB a second unless told otherwise, for the sake of others on a network.
qmp::Command at_full_speed() {
  return command("migrate-set-parameters",
                 Value::object().set("max-bandwidth", Value::integer(std::int64_t{1} << 40)));
}

qmp::Command by_file(const char* name) {
  return command(name, Value::object().set("uri", Value::string(std::string("fd:") + kFile)));
}

}  // namespace

Status QemuSnapshots::take(const std::filesystem::path& file, Snapshots::Done done, Action go_on) {
  if (done_) return fail(ErrorKind::expectation, "a snapshot of this machine is being written or read");
  UniqueFd opened(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!opened) return fail_errno("cannot make " + file.string());
  // Ours only when it watches: load() takes one that is there for a file that is yet to be closed.
  UniqueFd closes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!closes || ::inotify_add_watch(closes.get(), file.c_str(), IN_CLOSE_WRITE) < 0) {
    const auto problem = fail_errno("cannot watch " + file.string() + " (sysctl fs.inotify)");
    ::unlink(file.c_str());
    return problem;
  }
  closes_ = std::move(closes);
  closes_watch_ = loop_.watch(closes_.get(), EPOLLIN, [this](std::uint32_t) { closed(); });
  file_ = file;
  begin(std::move(opened),
        {command("stop"), with_events(), at_full_speed(), command(kTakeFile), by_file("migrate")},
        std::move(done), std::move(go_on));
  return {};
}

void QemuSnapshots::load(UniqueFd file, Snapshots::Done done, Action go_on) {
  file_.clear();
  begin(std::move(file), {with_events(), command(kTakeFile), by_file("migrate-incoming")}, std::move(done),
        std::move(go_on));
}

void QemuSnapshots::begin(UniqueFd file, std::deque<qmp::Command> steps, Snapshots::Done done, Action go_on) {
  opened_ = std::move(file);
  steps_ = std::move(steps);
  completed_ = false;
  done_ = std::move(done);
  go_on_ = std::move(go_on);
  next_step();
}

// One after another; behind the last of them a MIGRATION event tells the end.
void QemuSnapshots::next_step() {
  if (steps_.empty()) return;
  const qmp::Command step = std::move(steps_.front());
  steps_.pop_front();
  auto done = [this, name = step.name](const qmp::Reply& reply) {
    if (const auto* failure = std::get_if<qmp::Failure>(&reply))
      return finish(fail("QEMU's " + name + ": " + failure->message));
    next_step();
  };
  if (step.name == kTakeFile) {
    link_.give_file(std::move(opened_), kFile, std::move(done));
  } else {
    link_.execute(step, std::move(done));
  }
}

void QemuSnapshots::event(const qmp::Event& event) {
  if (!done_ || event.name != "MIGRATION") return;
  const auto status = event.data.find("status").as_string().value_or("");  // qapi/migration.json
  if (status == "completed") {
    completed_ = true;
    if (!closes_) finish({});
  }
  // One that cannot be read ends QEMU, which says why on standard error.
  if ((status == "failed" || status == "cancelled") && !file_.empty()) ask_why();
}

// QEMU says "completed" a moment before it takes "cont" again ("Migration is not finalized yet"), and of that
// moment's end it says nothing; but it closes the file only then (migrate_fd_cleanup in its migration/
// migration.c).
void QemuSnapshots::closed() {
  closes_watch_.stop();
  closes_.reset();
  if (completed_) finish({});
}

void QemuSnapshots::ask_why() {
  link_.execute(command("query-migrate"), [this](const qmp::Reply& reply) {
    const auto* answer = std::get_if<Value>(&reply);
    const auto why = answer != nullptr ? answer->find("error-desc").as_string() : std::nullopt;
    finish(fail("QEMU's migration failed: " + std::string(why.value_or("it does not say why"))));
  });
}

void QemuSnapshots::ended(const std::string& reason) {
  finish(fail(ErrorKind::expectation, "the machine went off: " + reason));
}

void QemuSnapshots::finish(const Status& status) {
  if (!done_ || end_) return;
  steps_.clear();
  opened_.reset();
  closes_watch_.stop();
  closes_.reset();
  if (!status && !file_.empty()) ::unlink(file_.c_str());
  end_ = loop_.soon([this, status] {
    end_ = {};
    const auto done = std::exchange(done_, nullptr);
    const auto go_on = std::exchange(go_on_, nullptr);
    done(status);
    go_on();
  });
}

}  // namespace rookery::backends
