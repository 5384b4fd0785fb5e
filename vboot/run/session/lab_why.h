// `why` over a running lab: collects what stands around a machine (faults in force, its port, its boot
// server, its console) for the reasoning in vboot/watch, and tells programs the answer. Changes nothing.
#pragma once

#include "base/json/json.h"
#include "vboot/run/session/running_lab.h"
#include "vboot/watch/why.h"

namespace rookery::vboot {

// Of a machine that has failed: as it was explained then.
Why why_of(const RunningLab& lab, const Node& node, Time now);

// The same of the boot that it is in alone, without what went before.
Why why_of_this_boot(const RunningLab& lab, const Node& node, Time now);

// One machine: name, stage, cause, sentence, chain, wire, around, console (docs/commands.md).
Json why_report(const RunningLab& lab, const Node& node, Time now);
// The same of a physical machine at the uplink, of which there is less to tell.
Json why_report(const RunningLab& lab, const WireMachine& machine, Time now);
// All: ready, and groups of machines by cause and stage, the largest first.
Json why_summary(const RunningLab& lab, Time now);

// Who is neither ready nor failed yet, and why: "2 of 3 clients are not ready", and a line for each of the
// first twenty.
std::string who_is_awaited(const RunningLab& lab, Time now);

}  // namespace rookery::vboot
