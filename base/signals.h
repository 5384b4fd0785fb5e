// The dispositions of signals that a write can bring. The program wants errors instead, and what it starts
// wants them as programs have them.
#pragma once

namespace rookery {

// From now on, writing to a pipe that nobody reads is EPIPE, and beyond a limit of file sizes (ulimit -f)
// EFBIG: both would end the process. A command whose reader has left (`rookery … | head`) ends by that error.
void ignore_full_files();    // SIGXFSZ
void ignore_closed_pipes();  // SIGPIPE

// Between fork and exec: no signal is blocked, and those that are ignored above act as they do by default.
// Only what may be called there.
void restore_signals();

}  // namespace rookery
