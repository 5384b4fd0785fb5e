// The live view on a terminal: paints what vboot/report/live_screen.h composes, and reads keys. Owned by
// Progress; goes before the lab, its recorder and the loop.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/loop/event_loop.h"
#include "base/unique_fd.h"
#include "vboot/cli/terminal.h"
#include "vboot/report/live_screen.h"
#include "vboot/report/recorder.h"

namespace rookery::vboot {

class LiveView {
 public:
  // Whether standard input and error are a terminal that can show it, and nobody asked for plain text
  // (NO_COLOR, see no-color.org).
  static bool is_possible();
  // Null if the terminal is of a kind that is not known here. `left` is called when somebody leaves the view,
  // or the terminal is gone; the view must then be destroyed, but not from within the call.
  static std::unique_ptr<LiveView> open(EventLoop& loop, RunningLab& lab, Recorder& recorder,
                                        std::function<void()> left);
  ~LiveView();

  void say(std::string_view line);

 private:
  LiveView(RunningLab& lab, Recorder& recorder, std::function<void()> left);
  void keys();
  void draw();

  RunningLab& lab_;
  Recorder& recorder_;
  std::function<void()> left_;
  std::unique_ptr<Terminal> terminal_;
  // Time of the host, whatever the lab's time is: it only says when to look, and is no event of the run.
  UniqueFd ticks_;
  Watch tick_watch_, key_watch_;
  ViewState state_;
  std::deque<std::string> messages_;
};

}  // namespace rookery::vboot
