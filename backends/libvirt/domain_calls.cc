#include "backends/libvirt/domain_calls.h"

#include <fmt/format.h>
#include <libvirt/virterror.h>

namespace rookery::backends {
namespace {

DomainHandle owned(virDomainPtr domain) {
  return {domain, [](virDomain* one) {
            if (one != nullptr) virDomainFree(one);
          }};
}

using Of = CallFailure::Of;

// Of the call that was made last.
tl::unexpected<CallFailure> failed(virConnectPtr connection, std::string_view doing) {
  Error error = libvirt_error(doing);
  const int code = virGetLastErrorCode();
  // There is no code of its own for this (virdomainobjlist.c, virDomainObjListAddLocked).
  const bool forgetting =
      code == VIR_ERR_OPERATION_FAILED && error.message.find("is already being removed") != std::string::npos;
  const Of of = virConnectIsAlive(connection) == 0                               ? Of::connection
                : code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_OPERATION_INVALID ? Of::domain
                : forgetting                                                     ? Of::forgetting
                                                                                 : Of::call;
  return tl::unexpected<CallFailure>({of, std::move(error)});
}

}  // namespace

// A guest that ends before libvirt has all of its QEMU would count as a QEMU that did not start.
CallStatus DomainCalls::create(const ConnectionHandle& connection) {
  domain_.reset();  // here: to free it forgets the last error
  domain_ = owned(virDomainCreateXML(connection.get(), xml_.c_str(),
                                     begins_stopped_ ? VIR_DOMAIN_START_PAUSED : VIR_DOMAIN_NONE));
  if (domain_ && (!begins_stopped_ || virDomainResume(domain_.get()) == 0)) return {};
  if (domain_) {
    auto failure = failed(connection.get(), "cannot start its domain");
    if (virDomainIsActive(domain_.get()) == 0) return {};  // of one that is over already an event tells
    return failure;
  }
  auto failure = failed(connection.get(), "cannot create its domain");
  if (failure.value().of == Of::forgetting) return failure;
  const DomainHandle other = owned(virDomainLookupByName(connection.get(), name_.c_str()));
  char its[VIR_UUID_STRING_BUFLEN] = "";
  if (!other || virDomainGetUUIDString(other.get(), its) != 0 || uuid_ == its) return failure;
  failure.value().error.message = fmt::format(
      "there is a domain '{}' already, and it is not ours: it is left alone; give the lab another "
      "name, or remove the domain yourself",
      name_);
  return failure;
}

// With our own description, which must be of the same machine: the file's might be anything.
CallStatus DomainCalls::restore(const ConnectionHandle& connection, const std::filesystem::path& file) {
  if (virDomainRestoreFlags(connection.get(), file.c_str(), xml_.c_str(), VIR_DOMAIN_SAVE_PAUSED) != 0)
    return failed(connection.get(), "cannot take its domain up again from " + file.string());
  return find(connection);
}

CallStatus DomainCalls::find(const ConnectionHandle& connection) {
  DomainHandle found = owned(virDomainLookupByUUIDString(connection.get(), uuid_.c_str()));
  if (!found) return failed(connection.get(), "its domain is gone");
  domain_ = std::move(found);
  return {};
}

CallStatus DomainCalls::save(const ConnectionHandle& connection, const std::filesystem::path& file) {
  if (virDomainSaveFlags(domain_.get(), file.c_str(), nullptr, VIR_DOMAIN_SAVE_PAUSED) != 0) {
    auto failure = failed(connection.get(), "cannot save its domain");
    // What libvirt finds invalid may also be the moment.
    if (failure.value().of == Of::domain && virDomainIsActive(domain_.get()) == 1)
      failure.value().of = Of::call;
    return failure;
  }
  auto restored = restore(connection, file);
  if (!restored && restored.error().of == Of::call) restored.error().of = Of::domain;
  return restored;
}

CallStatus DomainCalls::destroy() {
  if (!domain_) return {};
  virConnectPtr connection = virDomainGetConnect(domain_.get());  // before: it forgets the last error
  if (virDomainDestroy(domain_.get()) == 0) return {};
  return failed(connection, "cannot destroy its domain");
}

void DomainCalls::press() {
  if (domain_) (void)virDomainShutdownFlags(domain_.get(), VIR_DOMAIN_SHUTDOWN_DEFAULT);
}

void DomainCalls::stop() {
  if (domain_) (void)virDomainSuspend(domain_.get());
}

void DomainCalls::go() {
  if (domain_) (void)virDomainResume(domain_.get());
}

}  // namespace rookery::backends
