// Writes texts to a descriptor whose reader may be slow, may never read or may be gone (a pipe, a terminal, a
// full disk), from a thread of its own: who writes never waits for it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace rookery {

class PatientWriter {
 public:
  // The descriptor is open as long as the object lives. Of texts that wait to be written there are at most
  // `most` bytes: what is more is dropped, whole texts, and when there is room again a line says how many.
  explicit PatientWriter(int fd, Bytes most = Bytes{256u << 10});
  ~PatientWriter();  // gives what still waits kPatience, and then leaves it
  PatientWriter(const PatientWriter&) = delete;
  PatientWriter& operator=(const PatientWriter&) = delete;
  static constexpr Duration kPatience = std::chrono::seconds(1);

  void write(std::string_view text);
  // Waits until all is written, or cannot be. False if it still waits after `limit`.
  bool drain(Duration limit);
  // What went wrong first.
  Status problem() const;

 private:
  struct Shared;
  static void work(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_;  // the thread may outlive us
};

}  // namespace rookery
