// A running lab: its network, its machines, the order in which they start, and what became of each. Works
// under any pacer. Owned by whoever runs it (the supervisor's command, a test); destroying it power-cuts
// everything.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "images/medium/medium.h"
#include "vboot/run/machine/node.h"
#include "vboot/run/network/lab_network.h"
#include "vboot/run/network/uplink.h"
#include "vboot/run/session/lab_faults.h"

namespace rookery::vboot {

// Everything that a lab needs of the host, found and checked before anything starts.
struct LabSetup {
  LabPlan plan;
  std::filesystem::path folder;         // private, of this lab; on removal all is gone
  std::filesystem::path memory_folder;  // private, on tmpfs
  std::filesystem::path medium;         // the disk of machines that start from it
  BootFiles boot_server;                // both taken out of the medium
  BootFiles client;                     // likewise: its kernel, and the virtual boot ROM
  BootFiles microvm;                    // likewise, of clients that are PCs without firmware; may be none
  BootFiles microvm_server;             // and of a boot server that is one
  ImageFacts image;
  GiftMaker* gifts =
      nullptr;  // that has made what machines are given, and outlives the lab; null: it is made now
  // Asked before each client is started: why it must not be, or nothing. May be empty: each may.
  std::function<std::optional<std::string>(const MachinePlan&)> hindrance;
  UplinkWire uplink;             // if the plan has one
  unsigned booting_at_once = 0;  // clients between power-on and ready; 0: by the number of processors
};

// In virtual time, what the machines' clocks show as the run begins, in seconds since 1970 (UTC): what the
// lab says, or the image's own date. The Error is of kind usage: the lab's is before the image's.
Result<std::int64_t> clock_at_start(const LabPlan& plan, const ImageFacts& image);

struct FailedMachine {
  std::string name;
  Stage stage;
  std::string reason;
};

struct BootSummary {
  unsigned clients = 0, ready = 0;
  std::vector<FailedMachine> failed;
  Duration time_to_ready{0};  // from the first power-on until the last client was ready or had failed
  std::uint64_t boot_server_bytes = 0;  // that the boot server put on the wire
};

class LabEvents {
 public:
  virtual ~LabEvents() = default;
  virtual void stage_changed(const Node& node) = 0;
  virtual void console_output(const Node&, std::string_view) {}
  // Of a physical machine at the uplink.
  virtual void wire_stage_changed(const WireMachine&) {}
  // Every client is ready, has failed, or was switched off and stays so, for the first time.
  virtual void settled() = 0;
};

// What runs a machine.
using BackendOf = std::function<Result<backends::Backend*>(const MachinePlan&)>;

class RunningLab final : private NodeEvents {
 public:
  // `watcher` may be null; see NodeSetup.
  static Result<std::unique_ptr<RunningLab>> make(EventLoop& loop, LabSetup setup,
                                                  const BackendOf& backend_of, netsim::FrameWatcher* watcher);
  ~RunningLab() override;

  // Who hears what happens, from now on; null: nobody, as at first. It outlives the lab, or says so before.
  void listen(LabEvents* events) { events_ = events; }
  // Starts the boot server; the clients follow when it is ready.
  Status start();

  const LabPlan& plan() const { return setup_.plan; }
  Time started() const { return started_; }
  const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  Node* find(std::string_view name);
  FaultBoard& faults() { return *faults_; }
  const FaultBoard& faults() const { return *faults_; }
  Node& boot_server() const { return *boot_server_; }
  Uplink* uplink() const { return uplink_.get(); }  // null without one
  bool waits(const Node& node) const;               // for its turn to be switched on
  // Clients that were neither ready nor failed yet, and may still be; in the plan's order.
  std::vector<const Node*> awaited() const;
  bool is_settled() const { return settled_; }
  BootSummary summary() const;
  // Everything off, at once. What is destroyed afterwards has nothing left to wait for.
  void cut_all();

 private:
  RunningLab(EventLoop& loop, LabSetup setup);
  void stage_changed(Node& node) override;
  std::string what_is_missing(const Node& node) override;
  void power_cut(Node& node) override;
  bool stays_off(const Node& node) const;
  void admit_soon();
  void console_output(Node& node, std::string_view bytes) override {
    if (events_ != nullptr) events_->console_output(node, bytes);
  }
  void admit();
  void settle_if_done();

  EventLoop& loop_;
  LabSetup setup_;
  LabEvents* events_ = nullptr;
  LabNetwork network_;
  std::unique_ptr<Uplink> uplink_;
  std::unique_ptr<disks::BlockStore> medium_;
  std::vector<std::unique_ptr<Node>> nodes_;
  NodeFaults node_faults_{nodes_};
  std::unique_ptr<FaultBoard> faults_;  // goes before the nodes
  Node* boot_server_ = nullptr;
  std::vector<Node*> waiting_;       // clients, the next one last
  std::set<const Node*> booting_;    // membership only, and how many
  unsigned emulated_counts_ = 1;     // as so many of those that may boot at once
  std::set<const Node*> unsettled_;  // clients that never were ready or failed; membership only
  std::set<const Node*> cut_;        // whose power was cut, and that were not on since; membership only
  bool over_ = false;
  EventId admission_;
  Time started_{};
  Time settled_at_{};
  bool settled_ = false;
};

}  // namespace rookery::vboot
