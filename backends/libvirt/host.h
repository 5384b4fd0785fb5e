// One libvirt that machines run on: its connection, what happens to its domains, and the threads in which its
// calls block. Owned by the backend, shared with its machines; everything here is called from the loop's
// thread unless it says otherwise.
#pragma once

#include <libvirt/libvirt.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/libvirt/qemu_reaper.h"
#include "backends/libvirt/domain_xml.h"
#include "base/file.h"
#include "base/loop/workers.h"

namespace rookery::backends {

using DomainHandle = std::shared_ptr<virDomain>;
using ConnectionHandle = std::shared_ptr<virConnect>;

// libvirt's words for what went wrong last in this thread.
Error libvirt_error(std::string_view doing);
// What a user can do about what libvirt said when it was to be opened: "; install: …", or nothing.
std::string advice(const LibvirtUri& uri, std::string_view said);

// A machine, to whom its domain's events go.
class DomainEvents {
 public:
  virtual ~DomainEvents() = default;
  virtual void started() = 0;
  virtual void stopped(int detail) = 0;                    // virDomainEventStoppedDetailType
  virtual void qemu_said(const std::string& details) = 0;  // of its event SHUTDOWN, in JSON
  virtual void connected_again() = 0;
  virtual void connection_lost(const std::string& why) = 0;  // and it does not come back
};

struct LibvirtSetup {
  LibvirtUri uri;
  DomainOwner owner;
  // Of the embedded driver, if the URI names none: private, short, kept until the last domain is gone.
  std::filesystem::path embed_root;
  // Kept until the host goes, and removed then, unless domains may still be there.
  std::shared_ptr<ClaimedFolder> record = nullptr;
};

class LibvirtHost : public std::enable_shared_from_this<LibvirtHost> {
 public:
  LibvirtHost(EventLoop& loop, LibvirtSetup setup);
  ~LibvirtHost();
  LibvirtHost(const LibvirtHost&) = delete;
  LibvirtHost& operator=(const LibvirtHost&) = delete;

  // Once, and what a killed run of this lab left is destroyed. Blocks, at most for kPatience.
  Status open();
  static constexpr Duration kPatience = std::chrono::seconds(60);

  const LibvirtUri& uri() const { return setup_.uri; }
  const DomainOwner& owner() const { return setup_.owner; }
  const ConnectionHandle& connection() const { return connection_; }  // none while it is lost
  std::shared_ptr<Strand> new_strand() { return std::make_shared<Strand>(workers_); }
  std::shared_ptr<Inbox> inbox() const { return inbox_; }

  void add(const std::string& uuid, DomainEvents& events) { machines_[uuid] = &events; }
  void remove(const std::string& uuid) { machines_.erase(uuid); }
  DomainEvents* find(const std::string& uuid) const;

  // Where libvirt writes the process number of a domain's QEMU; empty if that is none of ours.
  std::filesystem::path pid_file(const std::string& domain) const;
  // The end of what a domain's QEMU said on standard error, if it ran here.
  std::string log_of(const std::string& domain) const;

  // From libvirt's own thread, by way of the inbox.
  void closed(const std::string& why);

 private:
  void try_again_later();
  void try_again();
  void opened_again(const Result<ConnectionHandle>& connection);
  std::vector<std::filesystem::path> process_folders() const;

  EventLoop& loop_;
  LibvirtSetup setup_;
  std::shared_ptr<Workers> workers_;
  std::shared_ptr<Inbox> inbox_;
  ConnectionHandle connection_;
  QemuReaper qemu_reaper_;
  std::map<std::string, DomainEvents*> machines_;  // by UUID
  bool all_ended_ = true;                          // no domain of ours was given up
  unsigned tries_ = 0;
  std::string lost_;
  EventId next_try_;
};

// Destroys the domains of an owner and returns their names; others are not touched. Blocks.
Result<std::vector<std::string>> destroy_domains_of(const LibvirtSetup& setup);

}  // namespace rookery::backends
