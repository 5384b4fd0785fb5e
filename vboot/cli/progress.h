// What a person sees while a lab comes up: on a terminal the live view, or one line that changes; elsewhere a
// plain line now and then. Goes to standard error; standard output is for results. Nobody has to read any of
// it: a reader that is gone, a pipe that is full or a terminal that stands still neither ends nor holds up
// what goes on. While it lives, the log's lines go its way.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/patient_writer.h"
#include "base/units.h"
#include "vboot/cli/live_view.h"
#include "vboot/run/session/running_lab.h"

namespace rookery::vboot {

class Progress {
 public:
  enum class How : std::uint8_t { quiet, plain, live };  // live: where the terminal can
  explicit Progress(How how);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  // Of a command with these options.
  static How how(bool json, bool plain, bool verbose);

  // Opens the live view, if there is to be one. All that is given outlives it: until finish().
  void watch(EventLoop& loop, RunningLab& lab, Recorder& recorder);
  void line(std::string_view text);              // one that stays
  void warn(std::string_view text);              // likewise, even where nobody wants to hear of progress
  void update(const RunningLab& lab, Time now);  // the counts by stage
  // To standard output: at once, or when the live view is closed.
  void result(std::string text);
  void finish();  // ends the view, or the changing line
  // Waits a moment for who reads: before this process lets go of the streams, or ends without a destructor.
  // What became of the results.
  Status settle();

 private:
  void say(std::string_view line);
  void log(std::string_view line);
  void end_line();
  void give_results();

  How how_;
  bool terminal_;
  bool line_open_ = false;
  Time last_update_{};
  std::string last_text_;
  std::unique_ptr<LiveView> view_;
  EventLoop* loop_ = nullptr;
  EventId leaving_;
  std::vector<std::string> results_;
  PatientWriter errors_, output_;
  std::thread::id thread_ = std::this_thread::get_id();
};

}  // namespace rookery::vboot
