// The long steps of a build that run now, some side by side: says when each has ended and how long it took,
// and, when nothing was said for a while, which of them still run. Its lines may come from several threads.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/units.h"
#include "images/make/debian_system.h"

namespace rookery::images {

class Phases {
 public:
  // A step, until it goes out of scope.
  class Running {
   public:
    Running(Phases& phases, std::string name);
    ~Running();
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    friend class Phases;
    Phases& phases_;
    const std::string name_;
    const Duration began_;
  };

  // `say` is called by one thread at a time; `quiet` is how long nothing is said while a step runs.
  Phases(Progress say, Duration quiet);
  ~Phases();
  Phases(const Phases&) = delete;
  Phases& operator=(const Phases&) = delete;

  void line(std::string_view text);

 private:
  void say_what_runs();
  std::string what_runs() const;

  const Progress say_;
  const Duration quiet_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<const Running*> running_;
  Duration last_line_;
  bool over_ = false;
  std::thread beats_;
};

}  // namespace rookery::images
