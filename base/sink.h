// A file, pipe or terminal that is written by a thread of its own: a disk that takes its time, a reader that
// is slow, and one that never reads, hold up nobody but this thread. Owned by one thread, which hands bytes
// over; what it handed over stands in a bounded queue. Nothing is assumed of O_NONBLOCK: whoever shares the
// open file can take it away.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "base/units.h"

namespace rookery {

class Sink {
 public:
  // What put() does when as much waits as may: it takes nothing, or it waits for room as long as the reader
  // reads on, for a run whose time does not pass meanwhile.
  enum class WhenFull : std::uint8_t { refuse, wait };
  struct Rules {
    std::string name;  // in messages: "the capture boot.pcapng"
    Bytes most = mebibytes(64);
    WhenFull when_full = WhenFull::refuse;
    Duration patience = std::chrono::seconds(60);  // of put(), with a reader that reads nothing
  };
  enum class State : std::uint8_t {
    open,
    done,         // closed, and all was written
    reader_left,  // of a pipe or socket
    failed,       // status() says why
  };
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const Identity&) const = default;
  };

  // Makes the file, or replaces what is in it. A FIFO that nobody reads yet is opened when somebody does;
  // until then what is put waits. A file or FIFO that another Sink of this host writes is an Error of kind
  // usage.
  static Result<std::unique_ptr<Sink>> open(const std::filesystem::path& path, Rules rules);
  // Of a descriptor that was opened by somebody else; `replace` empties a regular file first.
  static Result<std::unique_ptr<Sink>> of(UniqueFd fd, bool replace, Rules rules);
  ~Sink();  // as abandon()
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  // All of the bytes or none of them; true: they were taken. A `piece` is counted when all of it is written.
  // `always`: even if the queue is full, for what must not be missing and is short.
  enum class As : std::uint8_t { piece, rest, always };
  bool put(ByteView bytes, As as = As::piece);

  State state() const;
  Status status() const;  // an Error once it has failed or its reader has left
  std::uint64_t pieces_written() const;
  std::uint64_t bytes_written() const;
  // Becomes readable when the state is no longer `open`.
  int news() const;
  // What is written to, if nobody else may write there meanwhile: a file or a pipe.
  std::optional<Identity> identity() const { return identity_; }

  // Waits until all that was put is written: until the state changes, or nothing was written for `patience`,
  // which is an Error.
  Status flush(Duration patience);
  // Takes nothing more; when the queue is written, the state is `done`.
  void close();
  // Closes and waits for that; if nothing was written for `patience`, the rest is given up, and it has
  // failed.
  Status close(Duration patience);
  // Gives up what was not written: it has failed unless it was done. Does not wait.
  void abandon();

 private:
  struct Shared;
  Sink(std::shared_ptr<Shared> shared, WhenFull when_full, Duration patience);
  static Result<std::unique_ptr<Sink>> start(std::shared_ptr<Shared> shared, bool replace,
                                             const Rules& rules);
  static void work(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_;
  WhenFull when_full_;
  Duration patience_;
  std::optional<Identity> identity_;
};

}  // namespace rookery
