// A lab as a library: its place on this host, its time, its backends, its machines and its capture, from
// before the first of them until nothing is left. `up`, `run` and the tests are its callers: each says what
// is to run and where, hears how it goes, and decides when it ends. It prints nothing, and knows no command
// line.
//
//   open()       the loop, the uplink's NIC, the place and its janitor; whether the lab fits this host
//   make_lab()   backends, network and machines, all of them off
//   capture()    if the frames are to be in a file
//   lab().start(), loop().run()
//   take_down()  guests first, then the capture's end, then the place
//
// Owned by its caller. Who has to do with the lab (a recorder, a control server, a run of a scenario) goes
// before it: at SessionEvents::lab_goes(). Without take_down() the destructor leaves nothing either, and
// tells nobody.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop/event_loop.h"
#include "base/result.h"
#include "netsim/capture.h"
#include "netsim/tap.h"
#include "vboot/run/session/booted_image.h"
#include "vboot/run/session/host_place.h"
#include "vboot/run/session/lab_backends.h"
#include "vboot/run/session/running_lab.h"

namespace rookery::vboot {

// Whose time a lab runs in (base/loop/pacer.h).
enum class SessionTime : std::uint8_t {
  wall,      // the host's
  lockstep,  // virtual time that the guests grant
  scripted,  // virtual time that nobody waits for: for machines that follow a script
};

// Where on this host a lab is to live; see HostPlace.
struct SessionPlace {
  std::filesystem::path runtime;  // holds the folders of this user's labs: base's runtime_folder()
  std::string name;               // of the lab's folder there
  // If the name is taken: whether another one will do. Otherwise, in wall time, the last lab of that name is
  // waited for while it goes down, and one that is up is an Error.
  bool any_name = false;
  std::filesystem::path files = kMemoryFiles;  // on tmpfs: holds the folders of guests' memory
  bool guarded = true;                         // by a janitor, if we are killed
  std::vector<std::string> last{};             // what the janitor runs; see start_janitor()
};

// What a session is made from.
struct SessionSetup {
  LabPlan plan;
  BootedImage image;  // its store is open for as long as the session lives
  BackendFactory backends;
  GiftMaker* gifts = nullptr;  // see LabSetup
  SessionPlace place;
  SessionTime time = SessionTime::wall;
  LockstepRules lockstep{};      // for SessionTime::lockstep; the lookahead is the plan's
  unsigned booting_at_once = 0;  // see LabSetup
  // Whether what this host has decides: the lab must fit it, and in wall time so must each machine when its
  // turn comes. Machines that follow a script take nothing of it.
  bool measures_host = true;
};

// Hears what becomes of a session. Outlives it. Within a call nothing of the session may be destroyed.
class SessionEvents {
 public:
  virtual ~SessionEvents() = default;
  // The uplink's NIC is there, and carries no frames now. The lab comes up all the same.
  virtual void uplink_is_down(const std::string& /*why*/) {}
  // Not all frames are in the capture, or it ended before the lab did: once, when that is known.
  virtual void capture_fell_short(const netsim::CaptureFile&) {}
  // In lockstep, machines that never yield: the loop stops.
  virtual void stuck(const std::vector<std::string>& /*machines*/) {}
  // The lab is about to be taken down: who has to do with it lets go of it now.
  virtual void lab_goes() {}
  // Nothing of it runs any more; of its place the folder for sockets is still there.
  virtual void lab_gone() {}
};

class LabSession {
 public:
  // An Error leaves nothing behind. Of kind usage: the lab is up already.
  static Result<std::unique_ptr<LabSession>> open(SessionSetup setup, SessionEvents& events);
  LabSession(const LabSession&) = delete;
  LabSession& operator=(const LabSession&) = delete;

  // `frames` sees every frame (see NodeSetup), and is gone before the loop; null: nobody does.
  Status make_lab(std::unique_ptr<netsim::FrameWatcher> frames = nullptr);
  // Writes the frames of all cables, and of the uplink, to a new pcapng file at that path. That it cannot be
  // written is an Error at once; a reader may come later.
  Status capture(const std::filesystem::path& path);
  // Ends the capture, before the lab does: what became of it is final then. Null if there is none.
  const netsim::CaptureFile* end_capture();
  // Tells once when the lab's folder, or that socket in it, is gone: nobody finds the lab then.
  Status watch_place(const std::string& socket, std::function<void()> lost) {
    return place_->watch(loop_, socket, std::move(lost));
  }
  void take_down();

  EventLoop& loop() { return loop_; }
  RunningLab& lab() { return *lab_; }  // from make_lab() to take_down()
  const LabPlan& plan() const { return setup_.plan; }
  const BootedImage& image() const { return setup_.image; }
  // Until take_down().
  const std::filesystem::path& folder() const { return place_->folder(); }
  const std::filesystem::path& memory_folder() const { return place_->memory_folder(); }
  // When the loop's time was zero, since 1970-01-01 UTC; zero in virtual time, so that two runs agree.
  Duration began() const;

 private:
  LabSession(SessionSetup setup, SessionEvents& events);
  std::unique_ptr<Pacer> pacer();
  Status open_uplink();
  Status claim_place();
  Status check_host();
  LabSetup lab_setup();

  SessionSetup setup_;
  SessionEvents& events_;
  EventLoop loop_;
  std::optional<HostPlace> place_;
  LabBackends backends_;
  std::unique_ptr<netsim::FrameWatcher> frames_;
  std::shared_ptr<netsim::CaptureFile> capture_;
  Watch capture_news_;  // that it has ended before the lab does
  UplinkWire uplink_;   // until the lab has it
  std::unique_ptr<RunningLab> lab_;
};

}  // namespace rookery::vboot
