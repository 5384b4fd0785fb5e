// What a person sees while a lab comes up: on a terminal one line that changes, elsewhere a plain line now
// and then. Goes to standard error; standard output is for results.
#pragma once

#include <string>
#include <string_view>

#include "base/units.h"
#include "vboot/supervisor/running_lab.h"

namespace rookery::vboot {

class Progress {
 public:
  explicit Progress(bool quiet);

  void line(std::string_view text);              // one that stays
  void update(const RunningLab& lab, Time now);  // the counts by stage
  void finish();                                 // ends the changing line

 private:
  bool quiet_;
  bool terminal_;
  bool line_open_ = false;
  Time last_update_{};
  std::string last_text_;
};

}  // namespace rookery::vboot
