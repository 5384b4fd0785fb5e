// How a machine comes by the system that it shares with others: from the network, by what the boot script
// names (rookery.share=) or what the firmware started from.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "guest/program/devices.h"
#include "guest/program/network.h"
#include "guest/script/boot_url.h"
#include "guest/storage/san_target.h"

namespace rookery::guest {

// Mounts the system, read-only, at `place`: nbd://…, iscsi:…, aoe:… (a disk that holds its squashfs), or
// nfs://… (its tree). The interface is up and has its address.
Status mount_share(Devices& devices, const std::string& url, const Interface& nic, const std::string& place);

// The device that is the disk, read-only; it stays when its server was away for a while.
Result<std::string> attach_nbd(const ipxe::BootUrl& url);
Result<std::string> attach_san(Devices& devices, const san::Target& target, const Interface& nic);

// Starts what logs in again when an iSCSI session is lost: the system's iscsid, if this machine has a
// session. To be called in the system; what it is linked with (OpenSSL) has been told what it must not do.
void keep_sessions();

// What the firmware started this kernel from, if that was a disk on the network.
std::optional<san::Target> boot_target();

}  // namespace rookery::guest
