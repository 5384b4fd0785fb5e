// What the network or the supervisor lets a machine be: its name, and its role's files.
#pragma once

#include <string>

#include "base/result.h"
#include "guest/program/lease.h"
#include "guest/protocol/agent_protocol.h"

namespace rookery::guest {

// The kernel's host name, /etc/hostname and /etc/hosts; `address` is where others find it ("": this machine
// only).
Status set_hostname(const std::string& name, const std::string& address);
// /etc/resolv.conf, if the lease names servers.
Status set_resolver(const Lease& lease);
// Writes the role's files below the root, and takes the name that it gives. Nothing is written if a path is
// bad.
Status apply_role(const agent::Role& role);
// Without a supervisor: the files that the image keeps for its role, if it has any.
Status apply_default_role();

}  // namespace rookery::guest
