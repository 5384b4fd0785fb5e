// Writes what --report and `rookery report` ask for: the page or the picture of a run, with what a person
// needs to do it again.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "vboot/report/page.h"
#include "vboot/report/recorder.h"
#include "vboot/run/session/booted_image.h"

namespace rookery::vboot {

std::string processor();  // of this host, in its own words

// What a report says that the history and the JSON do not.
struct ReportTexts {
  std::string command;                                     // that does the same again
  std::vector<std::pair<std::string, std::string>> files;  // lab, scenario: name and text
  bool virtual_time = false;
};

// Looks only at the files' names.
Status check_report_files(const std::vector<std::string>& files);
// All that a report says, taken from the lab in its loop; writing it (hashing the program, composing,
// syncing) takes its time and may be done in a thread.
class ReportSnapshot {
 public:
  ReportSnapshot(RunningLab& lab, Recorder& recorder, JsonView report, const BootedImage& image,
                 const ReportTexts& texts);
  Status write(const std::vector<std::string>& files) const;

 private:
  History history_;
  Json report_;
  ReportTexts texts_;
  std::string made_at_;
  std::vector<PageSource::Console> consoles_;
  std::vector<std::pair<std::string, std::string>> facts_;  // all but the program's own
};
Status write_reports(const std::vector<std::string>& files, RunningLab& lab, Recorder& recorder,
                     JsonView report, const BootedImage& image, const ReportTexts& texts);

}  // namespace rookery::vboot
