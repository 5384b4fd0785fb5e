// What the programs inside a machine and the supervisor say to each other: typed messages, each encoded into
// one message of the agent channel (agent_channel.h), and the addresses of the frames that carry it. Pure
// values, shared by the guest programs and the host; decode() takes any bytes and refuses by name what is not
// a message.
//
// A message is a type byte and its fields, all big-endian; text and bytes are a be32 length and that many
// bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/units.h"

namespace rookery::agent {

inline constexpr std::uint16_t kEtherType =
    0x88b5;  // IEEE Std 802-2014 §9.2.4: local experimental ethertype 1
using MacAddress = std::array<std::uint8_t, 6>;
// A NIC whose address begins so is a machine's management NIC; the supervisor answers at kHostAddress.
inline constexpr std::array<std::uint8_t, 3> kManagementPrefix{0x0a, 0x52, 0x4b};
inline constexpr MacAddress kHostAddress{0x0a, 0x52, 0x4b, 0xff, 0xff, 0xff};

// Raised when a message of an earlier version is not understood any more; images::kManifestSchema with it.
inline constexpr std::uint16_t kProtocolVersion = 2;
inline constexpr std::size_t kTextMax = 4096;  // a name, path, reason or detail; encode cuts a longer one
inline constexpr std::size_t kArgumentsMax = 1024;
inline constexpr std::size_t kRoleFilesMax = 1024;
inline constexpr std::size_t kRoleLayersMax = 16;
// Streams (Open): what may be on its way in each direction and is not Taken yet. All of a machine's streams
// together leave room in the channel's queue (agent_channel.h) for what else is said.
inline constexpr std::uint32_t kStreamWindow = 64u << 10;
inline constexpr std::size_t kStreamsMax = 48;
inline constexpr std::uint32_t kStreamTakenEvery =
    kStreamWindow / 4;  // a receiver need not say so more often

enum class Program : std::uint8_t { stage1 = 1, stage2 = 2, agent = 3 };
enum class Source : std::uint8_t { network = 1, medium = 2 };
// The stages of a boot in their order; a Stage message says that one has begun, Ready that all are done.
enum class BootStage : std::uint8_t { dhcp = 1, script = 2, kernel = 3, root = 4, ready = 5 };
enum class Stream : std::uint8_t { out = 1, err = 2 };

std::string_view name_of(Program program);
std::string_view name_of(Source source);
std::string_view name_of(BootStage stage);

// Both ways
// ----------------------------------------------------------------------------------------------

// So many more bytes of a stream have been taken: of its Input by the program or the peer in the machine, of
// its Output by whoever reads it outside. The sender may have kStreamWindow bytes beyond these on their way.
struct Taken {
  std::uint32_t request = 0;
  std::uint32_t bytes = 0;
  friend bool operator==(const Taken&, const Taken&) = default;
};

// Guest to host
// ----------------------------------------------------------------------------------------------

// The first message of every session.
struct Hello {
  std::uint32_t epoch = 0;
  Program program = Program::stage1;
  Source source = Source::network;
  std::uint16_t version = kProtocolVersion;
  friend bool operator==(const Hello&, const Hello&) = default;
};
struct Stage {
  BootStage stage = BootStage::dhcp;
  std::string detail;  // for a person: the interface, the URL, the share
  friend bool operator==(const Stage&, const Stage&) = default;
};
// The boot ended in `stage`; the machine powers itself off, unless it had come as far as `ready`.
struct Failed {
  BootStage stage = BootStage::dhcp;
  std::string reason;
  friend bool operator==(const Failed&, const Failed&) = default;
};
// What the boot script said that the virtual boot ROM does not know, and what was made of it.
struct Guessed {
  std::string what;
  friend bool operator==(const Guessed&, const Guessed&) = default;
};
// The boot script restarts the machine, which says Hello once more when it has come up again.
struct Restarting {
  std::string reason;
  friend bool operator==(const Restarting&, const Restarting&) = default;
};
struct Ready {
  friend bool operator==(const Ready&, const Ready&) = default;
};
struct Output {
  std::uint32_t request = 0;
  Stream stream = Stream::out;
  ByteBuffer bytes;  // none, of a stream: no more will come
  friend bool operator==(const Output&, const Output&) = default;
};
// The last word on an Exec, a StepClock or an Open: all its Output came before.
struct Exited {
  std::uint32_t request = 0;
  bool by_signal = false;
  std::uint8_t code = 0;  // the exit code, or the signal's number; 127: could not be run (Output says why)
  friend bool operator==(const Exited&, const Exited&) = default;
};

// Host to guest
// ----------------------------------------------------------------------------------------------

struct RoleFile {
  std::string path;  // relative to the machine's root, without "..": see check_role_path
  std::uint16_t mode = 0644;
  ByteBuffer content;
  friend bool operator==(const RoleFile&, const RoleFile&) = default;
};
// A squashfs that belongs over the machine's system: a component of the medium, of which the share has a
// copy.
struct RoleLayer {
  std::string component;  // role-nfs-client.squashfs
  std::string url;        // nbd://10.77.0.1:10809/role-nfs-client.squashfs
  std::string sha256;     // 64 lower-case hexadecimal digits
  friend bool operator==(const RoleLayer&, const RoleLayer&) = default;
};
// What a machine is to be. Every machine with a management NIC is told, once, in stage two.
struct Role {
  std::string name;               // of its roles: "boot-server", "client, nfs-client"
  std::string hostname;           // of the machine; empty: it keeps the one it has
  std::vector<RoleLayer> layers;  // each over those before it
  std::vector<RoleFile> files;
  friend bool operator==(const Role&, const Role&) = default;
};
struct Exec {
  std::uint32_t request = 0;
  std::vector<std::string> argv;  // at least one; no shell looks at it
  friend bool operator==(const Exec&, const Exec&) = default;
};
// A stream: a connection to a TCP port of the machine's own (its loopback, or the address that the service
// listens at), or a program that reads what it is sent. Flow is controlled by Taken.
struct Open {
  std::uint32_t request = 0;
  std::uint16_t port = 0;         // 0: the program
  std::vector<std::string> argv;  // of the program; none with a port
  friend bool operator==(const Open&, const Open&) = default;
};
struct Input {
  std::uint32_t request = 0;
  ByteBuffer bytes;  // none: no more will come
  friend bool operator==(const Input&, const Input&) = default;
};
struct Kill {  // SIGKILL to the request's whole process group; a connection is closed
  std::uint32_t request = 0;
  friend bool operator==(const Kill&, const Kill&) = default;
};
// Steps the machine's time of day (CLOCK_REALTIME), forward or back, as a bad clock or a bad NTP server does;
// what counts from the boot goes on undisturbed. Answered by Exited: 0, or 1 after Output that says why not.
struct StepClock {
  std::uint32_t request = 0;
  Duration by{};
  friend bool operator==(const StepClock&, const StepClock&) = default;
};
struct PowerOff {
  friend bool operator==(const PowerOff&, const PowerOff&) = default;
};
struct OpenConsole {  // a login shell on /dev/console, unless one is there already
  friend bool operator==(const OpenConsole&, const OpenConsole&) = default;
};

// A type that this version does not know: counted and ignored by whoever gets it.
struct Unknown {
  std::uint8_t type = 0;
  friend bool operator==(const Unknown&, const Unknown&) = default;
};

using Message = std::variant<Hello, Stage, Failed, Ready, Output, Exited, Role, Exec, Kill, StepClock,
                             PowerOff, OpenConsole, Open, Input, Taken, Guessed, Restarting, Unknown>;

ByteBuffer encode(const Message& message);
Result<Message> decode(ByteView bytes);

// Whether a layer may be mounted: its name is one of a component, its digest one of SHA-256.
Status check_role_layer(const RoleLayer& layer);
// Whether a role may write there: relative, not empty, no empty, "." or ".." component, no NUL.
Status check_role_path(std::string_view path);

// An Ethernet frame around one segment, and back. unwrap gives an empty view for a frame that is not ours.
ByteBuffer wrap_frame(const MacAddress& to, const MacAddress& from, ByteView segment);
ByteView unwrap_frame(ByteView frame);
bool is_management_address(ByteView mac);

}  // namespace rookery::agent
