#include "vboot/run/session/lab_why.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "vboot/faults/kind.h"

namespace rookery::vboot {
namespace {

constexpr std::size_t kConsoleLooked = 200;  // lines, for a panic
constexpr std::size_t kConsoleShown = 5;

// What it does, where, and to what; its name, which comes last, tells nobody more.
std::string words_of(const FaultSpec& fault) {
  const std::string text = to_text(fault);
  return text.substr(0, text.find(" name="));
}

// The nearest first: its own machine and cable, the way, the boot server.
class Looker {
 public:
  Looker(const RunningLab& lab, const Node& node)
      : lab_(lab), node_(node), server_(lab.boot_server()), faults_(lab.faults().in_force()) {}

  std::vector<Circumstance> look() {
    const std::string& name = node_.plan().name;
    const std::string& server = server_.plan().name;
    frozen(name, Cause::frozen, "it is frozen");
    link(node_, Cause::link_down, "its link is down");
    if (node_.port().is_blocked())
      add(Cause::port_blocked, "its switch port does not forward yet" + by([&](const FaultSpec& fault) {
                                 return hinders(fault, Hinders::port, name);
                               }));
    drops();
    if (&node_ == &server_) return std::move(found_);
    separated(name, server);
    struck(name, "its cable");
    if (node_.plan().switch_index != server_.plan().switch_index) trunks();
    server_state(server);
    link(server_, Cause::server_link_down, fmt::format("the link of its boot server, {}, is down", server));
    struck(server, "the boot server's cable");
    return std::move(found_);
  }

  // Of physical machines, whose own cable is not seen.
  std::vector<Circumstance> look_from_the_wire(const Uplink& uplink) {
    if (const Status link = uplink.link(); !link) add(Cause::link_down, link.error().message);
    if (!uplink.other_server().empty())
      add(Cause::other_server, fmt::format("another DHCP server answers on {}, at {}",
                                           uplink.plan().interface, uplink.other_server()));
    on_trunk("uplink", uplink.plan().interface, "the uplink");
    const std::string& server = server_.plan().name;
    server_state(server);
    link(server_, Cause::server_link_down, fmt::format("the link of its boot server, {}, is down", server));
    struck(server, "the boot server's cable");
    return std::move(found_);
  }

 private:
  void add(Cause cause, std::string text) { found_.push_back({cause, std::move(text)}); }
  std::string since(Time time) const {
    return fmt::format(" since {:.3f} s", seconds(time - lab_.started()));
  }

  // " since 2.100 s (fault n37.down)", of the first fault that it is.
  template <typename Is>
  std::string by(Is is) const {
    for (const FaultState& fault : faults_) {
      if (is(*fault.spec)) return fmt::format("{} (fault {})", since(fault.began), fault.spec->name);
    }
    return {};
  }

  void frozen(const std::string& machine, Cause cause, const std::string& text) {
    const std::string fault =
        by([&](const FaultSpec& one) { return hinders(one, Hinders::processor, machine); });
    if (!fault.empty()) add(cause, text + fault);
  }

  // Also where only one direction is pulled, which the port does not know.
  void link(const Node& node, Cause cause, const std::string& text) {
    const std::string& name = node.plan().name;
    const std::string fault = by([&](const FaultSpec& one) { return hinders(one, Hinders::link, name); });
    if (!node.port().is_up()) {
      const std::string restart =
          fault.empty() ? by([](const FaultSpec& one) { return hinders(one, Hinders::switches); }) : "";
      add(cause, text + fault + restart);
    } else if (!fault.empty()) {
      add(cause, (cause == Cause::link_down ? "its link" : "its boot server's link") +
                     std::string(" is down in one direction, or now and then") + fault);
    }
  }

  void drops() {
    const netsim::SwitchPortCounters& now = node_.port().counters();
    const netsim::SwitchPortCounters& before = node_.port_at_power_on();
    std::string text;
    using netsim::SwitchDrop;
    for (const SwitchDrop drop : {SwitchDrop::vlan_refused, SwitchDrop::rogue_dhcp, SwitchDrop::bad_source,
                                  SwitchDrop::bad_tag, SwitchDrop::looped, SwitchDrop::busy}) {
      const std::uint64_t count = now.dropped(drop) - before.dropped(drop);
      if (count > 0) text += fmt::format("{}{} as {}", text.empty() ? "" : ", ", count, netsim::name(drop));
    }
    if (!text.empty()) add(Cause::switch_refuses, "the switch dropped frames of it: " + text);
    for (std::string& fault : node_.given_up()) add(Cause::device_refused, std::move(fault));
    if (const std::string refused = in_words(node_.refusals()); !refused.empty())
      add(Cause::device_refused, "its devices refused or lost: " + refused);
  }

  void separated(const std::string& name, const std::string& server) {
    const std::string fault = by([&](const FaultSpec& one) { return separates(one, name, server); });
    if (!fault.empty()) add(Cause::separated, "it is cut off from its boot server, " + server + fault);
  }

  void struck(const std::string& name, const std::string& where) {
    for (const FaultState& fault : faults_) {
      if (fault.frames.hit == 0 || !any_fits(fault.spec->on, name)) continue;
      add(Cause::fault, fmt::format("the fault '{}' on {} struck {} of {} frames{}", to_text(*fault.spec),
                                    where, fault.frames.hit, fault.frames.seen, since(fault.began)));
    }
  }

  // Any of them may be on the way, which changes with the tree of switches.
  void trunks() {
    for (const SwitchSpec& one : lab_.plan().switches) {
      for (const std::size_t upper : one.uplinks) {
        const std::string& above = lab_.plan().switches[upper].name;
        on_trunk(one.name, above, "the trunk " + one.name + ":" + above);
      }
    }
  }
  void on_trunk(const std::string& lower, const std::string& upper, const std::string& where) {
    for (const FaultState& fault : faults_) {
      const auto& on = fault.spec->on;
      if (!any_fits(on, lower + ":" + upper) && !any_fits(on, lower)) continue;
      if (hinders(*fault.spec, Hinders::link) || fault.frames.hit > 0)
        add(Cause::fault,
            fmt::format("the fault '{}' is on {}{}", words_of(*fault.spec), where, since(fault.began)));
    }
  }

  void server_state(const std::string& server) {
    const BootRecord& boot = server_.boot();
    if (boot.stage == Stage::off || boot.stage == Stage::failed) {
      add(Cause::server_off,
          fmt::format("its boot server, {}, {}{}", server, boot.stage == Stage::off ? "is off" : "has failed",
                      boot.since == Time{} ? "" : since(boot.since)));
      return;
    }
    frozen(server, Cause::server_frozen, fmt::format("its boot server, {}, is frozen", server));
    if (boot.stage == Stage::ready) return;
    add(Cause::server_booting, fmt::format("its boot server, {}, is in the stage {} itself{}", server,
                                           to_string(boot.stage), since(boot.since)));
  }

  const RunningLab& lab_;
  const Node& node_;
  const Node& server_;
  std::vector<FaultState> faults_;
  std::vector<Circumstance> found_;
};

Surroundings around(const RunningLab& lab, const Node& node) {
  Surroundings found;
  found.circumstances = Looker(lab, node).look();
  const auto lines = node.console_lines(kConsoleLooked);
  found.panic = panic_line(lines);
  found.out_of_memory = out_of_memory_line(lines);
  if (node.plan().boot == BootSource::medium) found.no_start = no_start_line(lines);
  found.console.assign(lines.end() - static_cast<std::ptrdiff_t>(std::min(lines.size(), kConsoleShown)),
                       lines.end());
  found.memory = node.plan().memory;
  found.has_firmware = node.has_firmware();
  found.slowness = node.slowness();
  found.console_is_silent = lines.empty();
  if (found.has_firmware) found.firmware = firmware_says(lines);
  found.start = lab.started();
  const BootRecord& server = lab.boot_server().boot();
  if (&node == &lab.boot_server()) return found;
  if (lab.waits(node)) {
    found.waiting = server.stage == Stage::ready
                        ? "not started yet: others boot before it"
                        : fmt::format("not started yet: its boot server, {}, is in the stage {}",
                                      lab.boot_server().plan().name, to_string(server.stage));
  } else if (server.stage == Stage::failed && node.boot().chain.empty()) {
    found.waiting = "not started: the boot server failed";
  }
  return found;
}

Surroundings around(const RunningLab& lab) {
  Surroundings found;
  found.start = lab.started();
  found.circumstances = Looker(lab, lab.boot_server()).look_from_the_wire(*lab.uplink());
  return found;
}

// What its boot went through, and what its cable showed: the keys `chain` and `wire`.
void add_boot(Json& report, const BootRecord& boot, Time start) {
  const auto since_start = [&](Time time) { return Json::number(seconds(time - start)); };
  Json chain = Json::array();
  for (std::size_t i = 0; i < boot.chain.size(); ++i) {
    const BootRecord::Reached& reached = boot.chain[i];
    const bool last = i + 1 == boot.chain.size();
    Json entry = Json::object().set("stage", to_string(reached.stage)).set("at_s", since_start(reached.at));
    const std::string& detail = last && reached.stage != Stage::failed ? boot.detail : reached.detail;
    if (!detail.empty()) entry.set("detail", detail);
    chain.add(std::move(entry));
  }
  std::vector<std::size_t> seen;
  for (std::size_t i = 0; i < kWireSteps; ++i) {
    if (boot.wire.steps[i].count > 0) seen.push_back(i);
  }
  std::stable_sort(seen.begin(), seen.end(), [&](std::size_t a, std::size_t b) {
    return boot.wire.steps[a].first < boot.wire.steps[b].first;
  });
  Json wire = Json::array();
  for (const std::size_t i : seen) {
    const Sighting& sighting = boot.wire.steps[i];
    Json entry = Json::object()
                     .set("what", to_string(static_cast<WireStep>(i)))
                     .set("count", Json::count(sighting.count))
                     .set("first_s", since_start(sighting.first))
                     .set("last_s", since_start(sighting.last));
    if (sighting.frame != 0) entry.set("frame", Json::count(sighting.frame));
    wire.add(std::move(entry));
  }
  report.set("chain", std::move(chain)).set("wire", std::move(wire));
  if (boot.stage == Stage::failed) report.set("failed_in", to_string(boot.failed_in));
}

Json told(const RunningLab& lab, const std::string& name, netsim::MacAddress mac, const BootRecord& boot,
          const Why& why, const Surroundings& found, Time now) {
  Json circumstances = Json::array();
  for (const Circumstance& one : found.circumstances) circumstances.add(Json::string(one.text));
  Json report = Json::object()
                    .set("name", name)
                    .set("mac", mac.text())
                    .set("stage", to_string(boot.stage))
                    .set("cause", to_string(why.cause))
                    .set("sentence", why.sentence)
                    .set("now_s", Json::number(seconds(now - lab.started())))
                    .set("boot_server", lab.boot_server().plan().name)
                    .set("around", std::move(circumstances))
                    .set("console", Json::strings(found.console));
  if (boot.restarts > 0) report.set("restarts", Json::count(boot.restarts));
  if (!boot.guesses.empty()) report.set("guesses", Json::strings(boot.guesses));
  add_boot(report, boot, lab.started());
  return report;
}

}  // namespace

Why why_of(const RunningLab& lab, const Node& node, Time now) {
  const BootRecord& boot = node.boot();
  if (boot.stage == Stage::failed && boot.cause != Cause::none) return {boot.cause, boot.reason};
  return explain(boot, around(lab, node), now);
}

Why why_of_this_boot(const RunningLab& lab, const Node& node, Time now) {
  BootRecord alone = node.boot();
  alone.restarts = 0;
  alone.guesses.clear();
  return explain(alone, around(lab, node), now);
}

Json why_report(const RunningLab& lab, const Node& node, Time now) {
  return told(lab, node.plan().name, *netsim::MacAddress::from_bytes(node.plan().data_mac), node.boot(),
              why_of(lab, node, now), around(lab, node), now);
}

Json why_report(const RunningLab& lab, const WireMachine& machine, Time now) {
  const Surroundings found = around(lab);
  return told(lab, machine.mac.text(), machine.mac, machine.boot, explain(machine.boot, found, now), found,
              now);
}

std::string who_is_awaited(const RunningLab& lab, Time now) {
  constexpr std::size_t kNamed = 20;
  const auto awaited = lab.awaited();
  std::string text = fmt::format("{} of {} clients are not ready", awaited.size(), lab.summary().clients);
  for (std::size_t i = 0; i < std::min(awaited.size(), kNamed); ++i) {
    const Node& node = *awaited[i];
    text += fmt::format("\n  {} ({}): {}", node.plan().name, to_string(node.boot().stage),
                        why_of(lab, node, now).sentence);
  }
  if (awaited.size() > kNamed) text += fmt::format("\n  and {} more", awaited.size() - kNamed);
  return text;
}

Json why_summary(const RunningLab& lab, Time now) {
  struct Group {
    Why why;  // of its first machine
    Stage stage;
    Json machines = Json::array();
    std::size_t size = 0;
  };
  std::vector<Group> groups;
  std::map<std::pair<Cause, Stage>, std::size_t> places;
  std::size_t machines = 0, ready = 0;
  const auto add = [&](const std::string& name, Stage stage, Why why) {
    ++machines;
    if (why.cause == Cause::none) {
      ++ready;
      return;
    }
    const auto [place, is_new] = places.try_emplace({why.cause, stage}, groups.size());
    if (is_new) groups.push_back({std::move(why), stage});
    groups[place->second].machines.add(Json::string(name));
    ++groups[place->second].size;
  };
  for (const auto& node : lab.nodes()) add(node->plan().name, node->boot().got_to(), why_of(lab, *node, now));
  if (lab.uplink() != nullptr) {
    for (const auto& one : lab.uplink()->machines().in_order())
      add(one->mac.text(), one->boot.got_to(), explain(one->boot, around(lab), now));
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Group& a, const Group& b) { return a.size > b.size; });
  Json list = Json::array();
  for (Group& group : groups) {
    list.add(Json::object()
                 .set("cause", to_string(group.why.cause))
                 .set("stage", to_string(group.stage))
                 .set("machines", std::move(group.machines))
                 .set("sentence", group.why.sentence));
  }
  return Json::object()
      .set("lab", lab.plan().name)
      .set("machines", Json::count(machines))
      .set("ready", Json::count(ready))
      .set("groups", std::move(list));
}

}  // namespace rookery::vboot
