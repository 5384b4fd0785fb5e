// What the program inherits from who started it, put in order; and the two streams that it speaks on.
// Standard output is for results and is checked: a result that reached nobody is a failure. Standard error is
// for words beside them: that nobody reads those ends nothing.
#pragma once

#include <string_view>

#include "base/result.h"

namespace rookery::vboot {

// Before anything is opened: descriptors 0 to 2 exist (/dev/null), no signal is blocked, SIGCHLD and SIGTERM
// do what they are for, and a reader that is gone (SIGPIPE) or a file that may not grow (SIGXFSZ) is an error
// of the write and not our end. (Programs that we start get them by default: restore_signals().) SIGHUP
// and SIGINT stay ignored where they are (nohup, a script's background job): see StopSignals.
void settle_inheritance();

// One message on standard error, with its end of line. Waits a moment at the most for who reads it.
void complain(std::string_view text);

// Whether all that was printed has reached standard output.
Status check_output();
// Whether it has not because its reader is gone, as behind `| head`: a reason to end, and not to complain.
bool output_reader_is_gone();
// What a shell shows of a program that ended so (128 + SIGPIPE).
inline constexpr int kReaderIsGone = 141;

}  // namespace rookery::vboot
