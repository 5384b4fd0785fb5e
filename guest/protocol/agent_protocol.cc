#include "guest/protocol/agent_protocol.h"

#include <algorithm>

namespace rookery::agent {
namespace {

enum Type : std::uint8_t {
  kHello = 1,
  kStage = 2,
  kFailed = 3,
  kReady = 4,
  kOutput = 5,
  kExited = 6,
  kGuessed = 7,
  kRestarting = 8,
  kRole = 64,
  kExec = 65,
  kKill = 66,
  kPowerOff = 67,
  kOpenConsole = 68,
  kStepClock = 69,
  kOpen = 80,
  kInput = 81,
  kTaken = 82,
};

// Writing: one overload per message
// --------------------------------------------------------------------------

class Encoder {
 public:
  void operator()(const Hello& m) {
    out_.u8(kHello).be32(m.epoch).u8(number(m.program)).u8(number(m.source)).be16(m.version);
  }
  void operator()(const Stage& m) { text(out_.u8(kStage).u8(number(m.stage)), m.detail); }
  void operator()(const Failed& m) { text(out_.u8(kFailed).u8(number(m.stage)), m.reason); }
  void operator()(const Guessed& m) { text(out_.u8(kGuessed), m.what); }
  void operator()(const Restarting& m) { text(out_.u8(kRestarting), m.reason); }
  void operator()(const Ready&) { out_.u8(kReady); }
  void operator()(const Output& m) { bytes(out_.u8(kOutput).be32(m.request).u8(number(m.stream)), m.bytes); }
  void operator()(const Exited& m) { out_.u8(kExited).be32(m.request).u8(m.by_signal ? 1 : 0).u8(m.code); }
  void operator()(const Role& m) {
    text(out_.u8(kRole), m.name);
    text(out_, m.hostname);
    out_.be32(static_cast<std::uint32_t>(m.layers.size()));
    for (const RoleLayer& layer : m.layers) {
      for (const std::string* field : {&layer.component, &layer.url, &layer.sha256}) text(out_, *field);
    }
    out_.be32(static_cast<std::uint32_t>(m.files.size()));
    for (const RoleFile& file : m.files) {
      text(out_, file.path);
      bytes(out_.be16(file.mode), file.content);
    }
  }
  void operator()(const Exec& m) { arguments(out_.u8(kExec).be32(m.request), m.argv); }
  void operator()(const Open& m) { arguments(out_.u8(kOpen).be32(m.request).be16(m.port), m.argv); }
  void operator()(const Input& m) { bytes(out_.u8(kInput).be32(m.request), m.bytes); }
  void operator()(const Taken& m) { out_.u8(kTaken).be32(m.request).be32(m.bytes); }
  void operator()(const Kill& m) { out_.u8(kKill).be32(m.request); }
  void operator()(const StepClock& m) {
    out_.u8(kStepClock).be32(m.request).be64(static_cast<std::uint64_t>(m.by.count()));
  }
  void operator()(const PowerOff&) { out_.u8(kPowerOff); }
  void operator()(const OpenConsole&) { out_.u8(kOpenConsole); }
  void operator()(const Unknown& m) { out_.u8(m.type); }

  ByteBuffer take() { return out_.take(); }

 private:
  template <typename Enum>
  static std::uint8_t number(Enum value) {
    return static_cast<std::uint8_t>(value);
  }
  static void bytes(ByteWriter& out, ByteView view) {
    out.be32(static_cast<std::uint32_t>(view.size())).bytes(view);
  }
  static void arguments(ByteWriter& out, const std::vector<std::string>& argv) {
    out.be32(static_cast<std::uint32_t>(argv.size()));
    for (const std::string& argument : argv) bytes(out, as_bytes(argument));
  }
  static void text(ByteWriter& out, std::string_view view) { bytes(out, as_bytes(view.substr(0, kTextMax))); }

  ByteWriter out_;
};

// Reading: a reader that turns bad, so that each message checks once
// -----------------------------------------

class Decoder {
 public:
  explicit Decoder(ByteView bytes) : in_(bytes) {}

  Message message(std::uint8_t type) {
    switch (type) {
      case kHello:
        return hello();
      case kStage:
        return Stage{stage(), text()};
      case kFailed:
        return Failed{stage(), text()};
      case kGuessed:
        return Guessed{text()};
      case kRestarting:
        return Restarting{text()};
      case kReady:
        return Ready{};
      case kOutput:
        return Output{in_.be32(), up_to<Stream>(2, "has an unknown stream"), bytes()};
      case kExited:
        return exited();
      case kRole:
        return role();
      case kExec:
        return exec();
      case kKill:
        return Kill{in_.be32()};
      case kStepClock:
        return step_clock();
      case kOpen:
        return open();
      case kInput:
        return Input{in_.be32(), bytes()};
      case kTaken:
        return Taken{in_.be32(), in_.be32()};
      case kPowerOff:
        return PowerOff{};
      case kOpenConsole:
        return OpenConsole{};
      default:
        in_.rest();
        return Unknown{type};
    }
  }
  // What is wrong, or nothing.
  std::string_view problem() const {
    if (!problem_.empty()) return problem_;
    if (!in_.ok()) return "is cut short";
    if (in_.remaining() != 0) return "has bytes left over";
    return {};
  }

 private:
  Hello hello() {
    Hello m;
    m.epoch = in_.be32();
    m.program = up_to<Program>(3, "has an unknown program");
    m.source = up_to<Source>(2, "has an unknown source");
    m.version = in_.be16();
    return m;
  }
  Exited exited() {
    Exited m;
    m.request = in_.be32();
    const std::uint8_t by_signal = in_.u8();
    if (by_signal > 1) note("has an unknown way of exiting");
    m.by_signal = by_signal == 1;
    m.code = in_.u8();
    return m;
  }
  Role role() {
    Role m;
    m.name = text();
    m.hostname = text();
    const std::uint32_t layers = in_.be32();
    if (layers > kRoleLayersMax) note("has too many layers");
    for (std::uint32_t i = 0; i < layers && going(); ++i) {
      RoleLayer layer;
      for (std::string* field : {&layer.component, &layer.url, &layer.sha256}) *field = text();
      m.layers.push_back(std::move(layer));
    }
    const std::uint32_t count = in_.be32();
    if (count > kRoleFilesMax) note("has too many files");
    for (std::uint32_t i = 0; i < count && going(); ++i) {
      RoleFile file;
      file.path = text();
      file.mode = in_.be16();
      if (file.mode > 07777) note("has an impossible file mode");
      file.content = bytes();
      if (going()) m.files.push_back(std::move(file));
    }
    return m;
  }
  Exec exec() {
    Exec m;
    m.request = in_.be32();
    m.argv = arguments();
    if (m.argv.empty()) note("has no program to run");
    return m;
  }
  Open open() {
    Open m;
    m.request = in_.be32();
    m.port = in_.be16();
    m.argv = arguments();
    if (m.argv.empty() == (m.port == 0)) note("has to have either a port or a program");
    return m;
  }
  std::vector<std::string> arguments() {
    std::vector<std::string> argv;
    const std::uint32_t count = in_.be32();
    if (count > kArgumentsMax) note("has too many arguments");
    for (std::uint32_t i = 0; i < count && going(); ++i) {
      const ByteBuffer argument = bytes();
      argv.emplace_back(as_text(argument));
      if (argv.back().find('\0') != std::string::npos) note("has a NUL in an argument");
    }
    return argv;
  }
  StepClock step_clock() {
    StepClock m;
    m.request = in_.be32();
    m.by = Duration(static_cast<std::int64_t>(in_.be64()));  // two's complement
    return m;
  }

  bool going() const { return in_.ok() && problem_.empty(); }
  void note(std::string_view problem) {
    if (problem_.empty()) problem_ = problem;
  }
  template <typename Enum>
  Enum up_to(std::uint8_t last, std::string_view problem) {
    const std::uint8_t value = in_.u8();
    if (in_.ok() && (value < 1 || value > last)) note(problem);
    return static_cast<Enum>(value);
  }
  BootStage stage() { return up_to<BootStage>(5, "has an unknown stage"); }
  ByteBuffer bytes() {
    const ByteView view = in_.take(in_.be32());
    return {view.begin(), view.end()};
  }
  std::string text() {
    const std::uint32_t length = in_.be32();
    if (length > kTextMax) note("has too long a text");
    return std::string(as_text(in_.take(length)));
  }

  ByteReader in_;
  std::string_view problem_;
};

}  // namespace

std::string_view name_of(Program program) {
  switch (program) {
    case Program::stage1:
      return "stage1";
    case Program::stage2:
      return "stage2";
    case Program::agent:
      return "agent";
  }
  return "?";
}
std::string_view name_of(Source source) {
  return source == Source::medium ? "medium" : "network";
}
std::string_view name_of(BootStage stage) {
  switch (stage) {
    case BootStage::dhcp:
      return "dhcp";
    case BootStage::script:
      return "script";
    case BootStage::kernel:
      return "kernel";
    case BootStage::root:
      return "root";
    case BootStage::ready:
      return "ready";
  }
  return "?";
}

ByteBuffer encode(const Message& message) {
  Encoder encoder;
  std::visit(encoder, message);
  return encoder.take();
}

Result<Message> decode(ByteView bytes) {
  if (bytes.empty()) return fail("an empty agent message");
  Decoder decoder(bytes.subspan(1));
  Message message = decoder.message(bytes[0]);
  if (const std::string_view problem = decoder.problem(); !problem.empty()) {
    return fail("an agent message of type " + std::to_string(bytes[0]) + " " + std::string(problem));
  }
  return message;
}

Status check_role_path(std::string_view path) {
  const auto refuse = [path](std::string_view why) {
    return fail("the role's file '" + std::string(path) + "' " + std::string(why));
  };
  if (path.empty()) return refuse("has no name");
  if (path.size() > kTextMax) return refuse("has too long a name");
  if (path.find('\0') != std::string_view::npos) return refuse("has a NUL in its name");
  if (path.front() == '/') return refuse("is not relative to the machine's root");
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return refuse("does not stay below the machine's root");
    if (slash == std::string_view::npos) return {};
    path.remove_prefix(slash + 1);
  }
}

Status check_role_layer(const RoleLayer& layer) {
  const auto refuse = [&layer](std::string_view why) {
    return fail("the role's layer '" + layer.component + "' " + std::string(why));
  };
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const std::string& name = layer.component;
  if (name.empty() || name.size() > 64 || !plain(name.front()) ||
      !std::all_of(name.begin(), name.end(),
                   [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; })) {
    return refuse("is no component");
  }
  const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (layer.sha256.size() != 64 || !std::all_of(layer.sha256.begin(), layer.sha256.end(), digit))
    return refuse("has no SHA-256 digest");
  return {};
}

ByteBuffer wrap_frame(const MacAddress& to, const MacAddress& from, ByteView segment) {
  constexpr std::size_t kShortestFrame = 60;  // IEEE Std 802.3 §3.2.8, without the check sequence
  ByteWriter out;
  out.bytes(to).bytes(from).be16(kEtherType).bytes(segment);
  if (out.size() < kShortestFrame) out.zeros(kShortestFrame - out.size());
  return out.take();
}

ByteView unwrap_frame(ByteView frame) {
  ByteReader in(frame);
  in.take(12);
  const std::uint16_t type = in.be16();
  return in.ok() && type == kEtherType ? in.rest() : ByteView{};
}

bool is_management_address(ByteView mac) {
  return mac.size() == 6 && std::equal(kManagementPrefix.begin(), kManagementPrefix.end(), mac.begin());
}

}  // namespace rookery::agent
