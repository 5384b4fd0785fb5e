// What dissect.cc finds inside UDP and TCP: readers of one payload each. Nothing here fails: what is not of
// the kind is nullopt.
#pragma once

#include <optional>
#include <string>

#include "netsim/dissect.h"

namespace rookery::netsim {

std::optional<DhcpSeen> read_dhcp(ByteView payload);  // without from_server and proxy
std::optional<TftpSeen> read_tftp(ByteView payload);
std::optional<HttpSeen> read_http(ByteView payload);
std::optional<NbdSeen> read_nbd(ByteView payload);

// See kLongestWireText. Ends at the first zero byte.
std::string wire_text(ByteView bytes);

}  // namespace rookery::netsim
