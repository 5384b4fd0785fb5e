#include "vboot/cli/lab_reporter.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "vboot/run/admission/memory_use.h"

namespace rookery::vboot {

LabReporter::LabReporter(LabSession& session, Recorder& recorder, ReportTexts texts)
    : session_(session),
      recorder_(recorder),
      texts_(std::move(texts)),
      facts_{ROOKERY_VERSION, session.image().manifest, session.image().digest, "none"},
      inbox_(std::make_shared<Inbox>(session.loop())) {}

// Guest memory only grows while a machine runs, so what is in use once all are up is the peak of the boot. A
// thousand machines are thousands of processes, which the loop does not wait for.
void LabReporter::measure_memory(std::function<void()> then) {
  std::vector<pid_t> processes{::getpid()};
  for (const auto& node : session_.lab().nodes()) {
    const auto its = node->processes();
    processes.insert(processes.end(), its.begin(), its.end());
  }
  const auto measured = [this, then = std::move(then)](Bytes used) {
    memory_peak_ = std::max(memory_peak_, used);
    then();
  };
  const bool taken = worker_.run([inbox = inbox_, processes = std::move(processes), measured] {
    const Bytes used = proportional_memory(processes);
    inbox->post([measured, used] { measured(used); });
  });
  if (!taken) measured(Bytes{});
}

void LabReporter::write(const std::vector<std::string>& files, JsonView report, const Written& then) {
  if (files.empty()) return then({});
  constexpr unsigned kReportsMost = 16;  // that wait to be written
  if (waiting_ == kReportsMost)
    return then(fail(ErrorKind::usage, "many reports are being written already; try again"));
  ++waiting_;
  auto snapshot =
      std::make_shared<ReportSnapshot>(session_.lab(), recorder_, report, session_.image(), texts_);
  const auto written = [this, then](const Status& status) {
    --waiting_;
    then(status);
  };
  const bool taken = worker_.run([inbox = inbox_, snapshot, files, written] {
    inbox->post([written, status = snapshot->write(files)] { written(status); });
  });
  if (!taken) written(fail("nothing can be written: too much waits"));
}

// What the boot took is measured when it is over; until then what it takes now is its peak.
void LabReporter::write_now(const std::string& file, const Written& then) {
  if (session_.lab().is_settled()) return write({file}, report(), then);
  measure_memory([this, file, then] { write({file}, report(), then); });
}

}  // namespace rookery::vboot
