// What every backend must do, written once. A Subject says how to make machines of one backend; the cases are
// run over each subject in contract_test.cc.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/backend.h"

namespace rookery::contract {

// The guests that the contract needs.
enum class Guest {
  prints_and_powers_off,  // prints "hello from the guest" and powers off
  crashes,                // prints "about to crash" and dies
  echoes,                 // prints "listening", then repeats what is typed on its console, until switched off
  reads_its_disk          // prints its disk's second sector, overwrites it if it can, and powers off
};

// Of machines of that guest.
inline constexpr const char* kDisk = "disk";                         // the file, in the machine's folder
inline constexpr std::string_view kOnDisk = "this is on the disk ";  // its second sector has nothing else
// Writes it. Throws if that does not work.
std::filesystem::path make_disk(const std::filesystem::path& folder, std::string_view first_sector = "");

class Subject {
 public:
  virtual ~Subject() = default;
  virtual std::string name() const = 0;
  // Why this backend cannot be tried here, in words that a user can act on; nothing if it can.
  virtual std::optional<std::string> unavailable() = 0;
  virtual EventLoop& loop() = 0;
  virtual Duration limit() const { return std::chrono::seconds(60); }  // for whatever is waited for
  virtual backends::Backend& backend() = 0;
  virtual backends::Hardware hardware() const { return {}; }  // of its machines
  virtual backends::MachineSpec spec(const std::string& machine, Guest guest) = 0;
  // What of a machine is still there on the host after its end: processes, files. Empty is good.
  virtual std::string remains() = 0;
};

std::unique_ptr<Subject> make_fake_subject();
std::unique_ptr<Subject> make_uml_subject();
std::unique_ptr<Subject> make_qemu_subject(bool kvm);
std::unique_ptr<Subject> make_libvirt_subject();
std::unique_ptr<Subject> make_xen_subject(backends::Chipset chipset,
                                          Duration patience = std::chrono::minutes(4));
bool host_has_kvm();  // or nobody asks for KVM here

}  // namespace rookery::contract
