// What a running lab writes down of where its domains are, so that they are found and destroyed when it was
// killed: a folder for each lab and URI, claimed as long as the lab runs. The embedded driver has its root
// there.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "backends/libvirt/host.h"
#include "base/file.h"

namespace rookery::backends {

// Begins a record for a lab's domains at a URI, below the user's runtime folder. What a killed run of the
// same lab left there is for LibvirtHost::open() to destroy. An Error while another process has it.
Result<LibvirtSetup> begin_record(const std::filesystem::path& runtime, const LibvirtUri& uri,
                                  const DomainOwner& owner);

// Destroys the domains of all records that nobody has, and removes these; gives back the domains' names. A
// libvirt that does not answer is an Error, after all others had their turn; its record stays. It forks: to
// be called where there are no other threads.
Result<std::vector<std::string>> destroy_left_domains(const std::filesystem::path& runtime);

}  // namespace rookery::backends
