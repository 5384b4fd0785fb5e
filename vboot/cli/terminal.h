// A terminal that is painted and read by ncurses, in a thread of its own: one that stands still (Ctrl-S, a
// connection that hangs) or is gone holds up nobody. However its process ends, SIGKILL included, the terminal
// is as it was before: a process of its own waits for that.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "vboot/report/live_screen.h"

namespace rookery::vboot {

class Terminal {
 public:
  // What came from it: a key that means something in a view, somebody who leaves, or its end.
  struct Key {
    std::optional<ViewKey> key;
    bool leaves = false;
  };

  // Null if it is of a kind that is not known here, or does not take its first words within `kPatience`.
  static std::unique_ptr<Terminal> open();
  ~Terminal();  // as it was before; one that stands still is left to itself after kPatience
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // The newest screen is painted when the last one is, and others are left out.
  void paint(Screen screen);
  std::size_t width() const;
  std::size_t height() const;
  int key_fd() const;  // readable when there are keys
  std::optional<Key> next_key();

 private:
  struct Shared;
  class Painter;
  explicit Terminal(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  std::shared_ptr<Shared> shared_;  // the thread may outlive us
};

}  // namespace rookery::vboot
