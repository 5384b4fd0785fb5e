#include "vboot/run/machine/agent_session.h"

#include <fmt/format.h>

#include <utility>

namespace rookery::vboot {
namespace {

constexpr std::size_t kExecsPerMachine = 64;

Stage stage_of(agent::BootStage stage) {
  switch (stage) {
    case agent::BootStage::dhcp:
      return Stage::dhcp;
    case agent::BootStage::script:
      return Stage::script;
    case agent::BootStage::kernel:
      return Stage::kernel;
    case agent::BootStage::root:
      return Stage::root;
    case agent::BootStage::ready:
      return Stage::ready;
  }
  return Stage::firmware;
}

}  // namespace

AgentSession::AgentSession(EventLoop& loop, const MachinePlan& plan, AgentSetup setup, BootProgress& boot,
                           AgentEvents& events, AgentClient::Transmit transmit)
    : plan_(plan), setup_(std::move(setup)), boot_(boot), events_(events) {
  if (!plan.management_mac) return;
  client_ = std::make_unique<AgentClient>(
      loop, *plan.management_mac, [this](const agent::Message& message) { says(message); },
      std::move(transmit));
}

void AgentSession::says(const agent::Message& message) {
  if (!events_.is_heard()) return;
  if (const auto* first = std::get_if<agent::Hello>(&message)) {
    hello(*first);
  } else if (const auto* stage = std::get_if<agent::Stage>(&message)) {
    boot_.enter(stage_of(stage->stage), stage->detail);
  } else if (const auto* failed = std::get_if<agent::Failed>(&message)) {
    boot_.enter(stage_of(failed->stage), "");
    boot_.fail(failed->reason, FailedBy::itself);
  } else if (const auto* guessed = std::get_if<agent::Guessed>(&message)) {
    boot_.guessed(guessed->what);
  } else if (const auto* restarting = std::get_if<agent::Restarting>(&message)) {
    boot_.will_restart(restarting->reason);
  } else if (std::get_if<agent::Ready>(&message) != nullptr) {
    boot_.enter(Stage::ready, "");
  } else if (const auto* output = std::get_if<agent::Output>(&message)) {
    const auto found = execs_.find(output->request);
    if (found != execs_.end()) found->second.output(output->stream, output->bytes);
  } else if (const auto* taken = std::get_if<agent::Taken>(&message)) {
    const auto found = execs_.find(taken->request);
    if (found != execs_.end() && found->second.taken) found->second.taken(taken->bytes);
  } else if (const auto* end = std::get_if<agent::Exited>(&message)) {
    exited(*end);
  }
}

void AgentSession::exited(const agent::Exited& message) {
  const auto found = execs_.find(message.request);
  if (found == execs_.end()) return;
  const ExecEvents events = std::move(found->second);
  execs_.erase(found);
  events.exited(message.by_signal ? 128 + message.code : int{message.code});
}

// A program that comes before the last one that spoke: the guest has restarted by itself, and boots again.
void AgentSession::hello(const agent::Hello& message) {
  const bool first_again = message.program == program_ && message.program != agent::Program::agent;
  if (program_ && (message.program < *program_ || first_again)) {
    end_execs("the machine restarted");
    events_.boots_again();
  }
  program_ = message.program;
  boot_.agent_spoke();
  if (message.version != agent::kProtocolVersion) {  // a microvm's or a disk's, which is not the lab's image
    boot_.fail(
        fmt::format(
            "its guest program speaks version {} of the agent's protocol, and this program version {}; "
            "make its image anew with 'rookery image build'",
            message.version, agent::kProtocolVersion),
        FailedBy::itself);
    (void)client_->send(agent::PowerOff{});
    return;
  }
  if (message.program == agent::Program::stage2) send_role(message.source);
  if (setup_.gift && message.program == agent::Program::stage2) hand_over();
}

// Before its system starts: it waits for that.
void AgentSession::hand_over() {
  const auto failed = [this](const std::string& why) {
    boot_.fail("what the lab gives it could not be put in: " + why, FailedBy::itself);
    (void)client_->send(agent::PowerOff{});
  };
  auto handover = std::make_unique<Handover>(*this, setup_.gift, failed);
  const auto request = ask_now(agent::Open{0, 0, gift_script()}, handover->events());
  if (!request) return failed(request.error().message);
  handover_ = std::move(handover);
  handover_->begin(*request);
}

void AgentSession::send_role(agent::Source source) {
  agent::Role role;
  role.name = setup_.role.roles;
  if (source == agent::Source::medium) role.hostname = plan_.name;  // others have it from the network
  for (const RoleLayer& layer : setup_.role.layers)
    role.layers.push_back({layer.component, layer.url, layer.sha256});
  for (const RoleFile& file : setup_.role.files) {
    const ByteView content = as_bytes(file.content);
    role.files.push_back(
        {file.path, static_cast<std::uint16_t>(file.mode), {content.begin(), content.end()}});
  }
  if (setup_.gift) role.files.push_back({"run/rookery/handover", 0644, {}});  // something follows
  if (auto sent = client_->send(role); !sent)
    boot_.fail("its role could not be sent: " + sent.error().message, FailedBy::deadline);
}

// Sends what the agent answers with Exited.
template <typename Asked>
Result<std::uint32_t> AgentSession::ask(Asked what, ExecEvents events) {
  if (!client_ || boot_.record().stage != Stage::ready) {
    return rookery::fail(ErrorKind::expectation, fmt::format("{} is not ready (its stage is {})", plan_.name,
                                                             to_string(boot_.record().stage)));
  }
  return ask_now(std::move(what), std::move(events));
}

template <typename Asked>
Result<std::uint32_t> AgentSession::ask_now(Asked what, ExecEvents events) {
  if (execs_.size() >= kExecsPerMachine) {
    return rookery::fail(ErrorKind::expectation, plan_.name + " runs too many commands already");
  }
  const std::uint32_t request = ++last_request_;
  what.request = request;
  ROOKERY_TRY(client_->send(what));
  execs_.emplace(request, std::move(events));
  return request;
}

Result<std::uint32_t> AgentSession::exec(const std::vector<std::string>& argv, ExecEvents events) {
  return ask(agent::Exec{0, argv}, std::move(events));
}

Result<std::uint32_t> AgentSession::open(std::uint16_t port, const std::vector<std::string>& argv,
                                         ExecEvents events) {
  return ask(agent::Open{0, port, argv}, std::move(events));
}

Status AgentSession::stream_input(std::uint32_t request, ByteView bytes) {
  return client_->send(agent::Input{request, ByteBuffer(bytes.begin(), bytes.end())});
}

Status AgentSession::stream_taken(std::uint32_t request, std::uint32_t bytes) {
  return client_->send(agent::Taken{request, bytes});
}

Status AgentSession::step_clock(Duration by) {
  const ExecEvents nobody_listens{[](agent::Stream, ByteView) {}, [](const Result<int>&) {}, {}};
  return ask(agent::StepClock{0, by}, nobody_listens).map([](std::uint32_t) {});
}

void AgentSession::cancel_exec(std::uint32_t request) {
  if (execs_.erase(request) > 0 && client_->in_session()) (void)client_->send(agent::Kill{request});
}

Duration AgentSession::silence() {
  if (!client_ || !client_->in_session()) return Duration{0};
  const Duration silence = client_->silence();
  // No request has this number: nothing is killed, and the message is acknowledged.
  if (silence == Duration{0}) (void)client_->send(agent::Kill{0});
  return silence;
}

void AgentSession::end_execs(const std::string& why) {
  for (auto& [request, events] : std::exchange(execs_, {})) {
    events.exited(rookery::fail(ErrorKind::expectation, plan_.name + ": " + why));
  }
}

Status AgentSession::ask_to_power_off() {
  if (!client_ || !client_->in_session()) {
    return rookery::fail(ErrorKind::expectation,
                         plan_.name + " has no agent that could be asked to power off");
  }
  return client_->send(agent::PowerOff{});
}

// The agent opens a shell on the console when somebody types there and there is none (it may have been left).
void AgentSession::open_console() {
  if (client_ && boot_.record().stage == Stage::ready) (void)client_->send(agent::OpenConsole{});
}

void AgentSession::machine_went_off(const std::string& why) {
  if (client_) client_->reset();
  end_execs(why);
}

AgentSession::Moment AgentSession::moment() const {
  return {program_, client_ ? std::optional(client_->channel()) : std::nullopt};
}

void AgentSession::resume(const Moment& moment) {
  program_ = moment.program;
  if (client_ && moment.channel) client_->resume(*moment.channel);
}

}  // namespace rookery::vboot
