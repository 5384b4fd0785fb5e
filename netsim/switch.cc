#include "netsim/switch.h"

#include <algorithm>

#include "base/result.h"
#include "netsim/snooping.h"

namespace rookery::netsim {

std::string_view name(SwitchDrop drop) {
  switch (drop) {
    case SwitchDrop::port_down:
      return "port down";
    case SwitchDrop::port_blocked:
      return "port blocked";
    case SwitchDrop::bad_source:
      return "bad source";
    case SwitchDrop::bad_tag:
      return "bad tag";
    case SwitchDrop::reserved:
      return "reserved address";
    case SwitchDrop::vlan_refused:
      return "VLAN refused";
    case SwitchDrop::looped:
      return "looped";
    case SwitchDrop::rogue_dhcp:
      return "rogue DHCP server";
    case SwitchDrop::busy:
      return "busy";
    case SwitchDrop::same_port:
      return "same port";
    case SwitchDrop::out_port_down:
      return "outgoing port down";
    case SwitchDrop::out_vlan_refused:
      return "outgoing VLAN refused";
    case SwitchDrop::out_no_buffer:
      return "no buffer";
  }
  return "unknown";
}

namespace {

// The frame as it looks on a wire where its VLAN is tagged, or is not; its priority is kept. The tag that it
// came with is whole and the only one. No frame if that needs a buffer and there is none.
Frame dress(Frame frame, std::uint16_t vlan, bool want_tag) {
  const auto tag = frame.vlan_tag();
  if (!tag && !want_tag) return frame;
  if (tag && want_tag && tag->vlan() == vlan) return frame;
  if (tag) frame = std::move(frame).untagged();
  if (!frame || !want_tag) return frame;
  const int priority = tag ? tag->control & 0xf000 : 0;
  return std::move(frame).tagged(VlanTag{static_cast<std::uint16_t>(priority | vlan)});
}

}  // namespace

std::uint64_t SwitchPortCounters::dropped() const {
  std::uint64_t sum = 0;
  for (std::uint64_t count : drops) sum += count;
  return sum;
}

namespace {
constexpr std::uint64_t group_key(std::uint16_t vlan, MacAddress group) {
  return std::uint64_t{vlan} << 48 | group.bits();
}
}  // namespace

bool SwitchPort::hears(std::uint16_t vlan, MacAddress group) const {
  return hears_all_ || groups_.size() >= Switch::kGroupsPerPort ||
         std::binary_search(groups_.begin(), groups_.end(), group_key(vlan, group));
}

// For good: nobody asks whether others behind this port still listen, and a group too many costs little.
void SwitchPort::join(std::uint16_t vlan, MacAddress group) {
  const std::uint64_t key = group_key(vlan, group);
  const auto at = std::lower_bound(groups_.begin(), groups_.end(), key);
  if (groups_.size() < Switch::kGroupsPerPort && (at == groups_.end() || *at != key)) groups_.insert(at, key);
}

void SwitchPort::send(Frame frame) {
  switch_.receive(*this, std::move(frame));
}

Switch::Switch(EventLoop& loop, const SwitchRules& rules)
    : loop_(loop),
      dhcp_snooping_(rules.dhcp_snooping),
      arp_suppression_(rules.arp_suppression),
      mld_snooping_(rules.mld_snooping),
      table_(rules.table) {
  if (dhcp_snooping_ || arp_suppression_) addresses_.emplace(rules.addresses);
}

SwitchPort& Switch::attach(std::string name, Port& out) {
  PortNumber number = 0;
  while (number < ports_.size() && ports_[number] != nullptr) ++number;
  if (number == ports_.size()) ports_.emplace_back();
  ports_[number] = std::make_unique<SwitchPort>(*this, number, std::move(name), out);
  ++port_count_;
  return *ports_[number];
}

void Switch::detach(SwitchPort& port) {
  if (&port.switch_ != this || !port.attached_) bug("a switch port was detached that is not attached");
  table_.forget(port.number_);
  port.attached_ = false;
  // It may be in hand, or frames that wait may have come from it: it stays until they are worked off.
  leaving_.push_back(std::move(ports_[port.number_]));
  --port_count_;
  if (!forwarding_ && waiting_.empty()) leaving_.clear();
}

void Switch::set_link(SwitchPort& port, bool up) {
  if (port.up_ && !up) table_.forget(port.number_);
  port.up_ = up;
}

void Switch::set_blocked(SwitchPort& port, bool blocked) {
  if (!port.blocked_ && blocked) table_.forget(port.number_);
  port.blocked_ = blocked;
}

void Switch::forget_places() {
  table_.clear();
}

void Switch::hear_all_groups(SwitchPort& port) {
  port.hears_all_ = true;
}

void Switch::forget_everything() {
  table_.clear();
  if (addresses_) addresses_->clear();
  for (const auto& port : ports_) {
    if (port != nullptr) port->hears_all_ = true;
  }
}

void Switch::set_vlans(SwitchPort& port, const VlanMembership& vlans) {
  if (!(port.vlans_ == vlans)) table_.forget(port.number_);
  port.vlans_ = vlans;
}

void Switch::set_trusted(SwitchPort& port, bool trusted) {
  port.trusted_ = trusted;
}

std::vector<const SwitchPort*> Switch::ports() const {
  std::vector<const SwitchPort*> result;
  for (const auto& port : ports_) {
    if (port != nullptr) result.push_back(port.get());
  }
  return result;
}

void Switch::receive(SwitchPort& from, Frame frame) {
  ++from.counters_.frames_in;
  from.counters_.bytes_in += frame.size();
  if (forwarding_ || !waiting_.empty()) {
    if (waiting_.size() >= kWaitingFrames) {
      from.count(SwitchDrop::busy);
      return;
    }
    waiting_.push(Waiting{&from, std::move(frame)});
    return;
  }
  forwarding_ = true;
  forward(from, std::move(frame));
  forwarding_ = false;
  if (!waiting_.empty()) {
    work_off();
  } else if (!leaving_.empty()) {
    leaving_.clear();
  }
}

// What came in while another frame was in hand, in the order in which it came.
void Switch::work_off() {
  resume_ = {};
  forwarding_ = true;
  for (std::size_t done = 0; done < kFramesPerTurn && !waiting_.empty(); ++done) {
    Waiting next = waiting_.pop();
    if (next.from->attached_) forward(*next.from, std::move(next.frame));
  }
  forwarding_ = false;
  if (!waiting_.empty()) {
    resume_ = loop_.soon([this] { work_off(); });
  } else {
    leaving_.clear();
  }
}

void Switch::forward(SwitchPort& from, Frame frame) {
  if (!from.up_) return from.count(SwitchDrop::port_down);
  if (from.blocked_) return from.count(SwitchDrop::port_blocked);
  const MacAddress source = frame.source();
  const MacAddress destination = frame.destination();
  if (source.is_group() || source.is_zero()) return from.count(SwitchDrop::bad_source);
  if (destination.is_reserved_group()) return from.count(SwitchDrop::reserved);

  std::uint16_t vlan = from.vlans_.untagged();
  if (frame.is_tagged()) {
    const auto tag = frame.vlan_tag();
    // With stacked tags, taking off the outer one would let a machine choose another VLAN at the next switch.
    if (!tag || tag->vlan() > kLastVlan || frame.ethertype() == kEthertypeVlan)
      return from.count(SwitchDrop::bad_tag);
    if (tag->vlan() != 0) {
      vlan = tag->vlan();
      if (!from.vlans_.is_tagged(vlan)) return from.count(SwitchDrop::vlan_refused);
    }
  }
  if (vlan == 0) return from.count(SwitchDrop::vlan_refused);
  if (frame.pass_switch() >= kMostSwitches) return from.count(SwitchDrop::looped);

  const Time now = loop_.now();
  table_.learn(vlan, source, from.number_, now);
  if (addresses_ || mld_snooping_) {
    const Direction direction = direct(from, vlan, frame);
    if (direction.way == Way::nowhere) return;
    if (direction.way != Way::as_usual) {
      ++from.counters_.directed;
      if (direction.way == Way::one_port) return deliver(*ports_[direction.port], vlan, std::move(frame));
      return flood(from, vlan, frame, direction.way);
    }
  }
  if (!destination.is_group()) {
    if (const auto known = table_.lookup(vlan, destination, now)) {
      if (*known == from.number_) return from.count(SwitchDrop::same_port);
      return deliver(*ports_[*known], vlan, std::move(frame));
    }
  }
  ++from.counters_.flooded;
  flood(from, vlan, frame, Way::as_usual);
}

// Where a frame of DHCP or address resolution goes, and what is to be remembered of it.
Switch::Direction Switch::direct(SwitchPort& from, std::uint16_t vlan, const Frame& frame) {
  const SnoopedFrame seen = snoop(frame);
  if (seen.kind == Snooped::nothing) return {};
  const Time now = loop_.now();
  const bool to_all = frame.destination().is_group();
  const bool of_dhcp = seen.kind == Snooped::dhcp_to_server || seen.kind == Snooped::dhcp_to_client;
  if (arp_suppression_ && !of_dhcp && !seen.owned.is_zero())
    addresses_->hear(vlan, seen.owned, frame.source(), now);
  if (mld_snooping_) {
    if (seen.kind == Snooped::listener_report) {
      for (const MacAddress group : reported_groups(frame)) from.join(vlan, group);
      return {Way::trusted_ports};
    }
    if (seen.probe && to_all) return {Way::listeners};
  }
  if (seen.kind == Snooped::listener_report) return {};
  if (seen.kind == Snooped::address_resolution) {
    if (!arp_suppression_ || !to_all || seen.wanted.is_zero()) return {};
    const auto owner = addresses_->ask(vlan, seen.wanted, now);
    const auto port = owner ? table_.lookup(vlan, *owner, now) : std::nullopt;
    if (!port || *port == from.number_) return {};
    return {Way::one_port, *port};
  }
  if (!dhcp_snooping_) return {};
  if (seen.kind != Snooped::dhcp_to_client) return {to_all ? Way::trusted_ports : Way::as_usual};
  if (!from.trusted_) {
    from.count(SwitchDrop::rogue_dhcp);
    return {Way::nowhere};
  }
  if (!seen.owned.is_zero()) addresses_->bind(vlan, seen.owned, seen.client, seen.lease, now);
  const auto port = table_.lookup(vlan, seen.client, now);
  if (!to_all || !port || *port == from.number_) return {};
  return {Way::one_port, *port};
}

// By number, looking at the ports anew each time: a receiver may attach and detach ports meanwhile. The form
// with and the form without a tag are each made once.
void Switch::flood(const SwitchPort& from, std::uint16_t vlan, const Frame& frame, Way to_whom) {
  const MacAddress group = frame.destination();
  Frame bare;
  Frame tagged;
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    SwitchPort* to = ports_[i].get();
    if (to == nullptr || to == &from || !to->forwards() || !to->vlans_.contains(vlan)) continue;
    const bool concerned =
        to_whom == Way::as_usual || to->trusted_ || (to_whom == Way::listeners && to->hears(vlan, group));
    if (!concerned) continue;
    const bool want_tag = to->vlans_.is_tagged(vlan);
    Frame& form = want_tag ? tagged : bare;
    if (!form) form = dress(frame, vlan, want_tag);
    emit(*to, form);
  }
}

void Switch::deliver(SwitchPort& to, std::uint16_t vlan, Frame frame) {
  if (!to.forwards()) return to.count(SwitchDrop::out_port_down);
  if (!to.vlans_.contains(vlan)) return to.count(SwitchDrop::out_vlan_refused);
  emit(to, dress(std::move(frame), vlan, to.vlans_.is_tagged(vlan)));
}

void Switch::emit(SwitchPort& to, Frame frame) {
  if (!frame) return to.count(SwitchDrop::out_no_buffer);
  ++to.counters_.frames_out;
  to.counters_.bytes_out += frame.size();
  to.out_->send(std::move(frame));
}

}  // namespace rookery::netsim
