// Any bytes from a QMP peer, cut anywhere, with commands given in between: nothing crashes, and every command
// is answered exactly once.
#include <qmp/qmp.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = data[0] % 64 + 1u;
  unsigned given = 0, answered = 0;
  {
    qmp::Client client({}, std::chrono::nanoseconds(0), std::chrono::seconds(1),
                       {.message = 4096, .commands = 8});
    std::chrono::nanoseconds now{0};
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    for (std::size_t at = 1; at < size; at += step) {
      ++given;
      client.execute({"query-status", {}, std::chrono::milliseconds(300), given % 3 == 0}, now,
                     [&](const qmp::Reply&) { ++answered; });
      client.receive(bytes.substr(at, step), now);
      static_cast<void>(client.take_output());
      now += std::chrono::milliseconds(100);
      client.expire(now);
      if (client.deadline() && *client.deadline() <= now) std::abort();
    }
    client.lost("the end");
  }
  if (given != answered) std::abort();
  return 0;
}
