// What a lab that goes on says of itself: the report of `up`, with the memory that the lab takes, and the
// files of `--report` and `rookery report`. Measuring and writing take a while, and are done beside the
// loop. Owned by the command; goes before the recorder and the lab, and what is under way is dropped then.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json/json.h"
#include "base/loop/workers.h"
#include "vboot/cli/report_files.h"
#include "vboot/report/recorder.h"
#include "vboot/run/session/lab_session.h"
#include "vboot/run/session/report.h"

namespace rookery::vboot {

class LabReporter {
 public:
  using Written = std::function<void(const Status&)>;

  LabReporter(LabSession& session, Recorder& recorder, ReportTexts texts);
  ~LabReporter() { inbox_->close(); }
  LabReporter(const LabReporter&) = delete;
  LabReporter& operator=(const LabReporter&) = delete;

  const RunFacts& facts() const { return facts_; }
  Json report() const { return up_report(session_.lab(), facts_, memory_peak_); }
  // `then` comes when what the lab takes now is known, and is in the report if it is the most so far.
  void measure_memory(std::function<void()> then);
  void write(const std::vector<std::string>& files, JsonView report, const Written& then);
  // The report as it is now to one file.
  void write_now(const std::string& file, const Written& then);

 private:
  LabSession& session_;
  Recorder& recorder_;
  ReportTexts texts_;
  RunFacts facts_;
  Bytes memory_peak_;
  unsigned waiting_ = 0;  // reports that wait to be written
  // Answers of the worker, which goes first, come by the inbox.
  std::shared_ptr<Inbox> inbox_;
  Workers worker_{1};
};

}  // namespace rookery::vboot
