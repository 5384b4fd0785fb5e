// From what the command line says of a real network to what it is in the plan. Pure.
#pragma once

#include "vboot/lab/lab_plan.h"

namespace rookery::vboot {

struct UplinkRequest {
  std::string interface {};   // --uplink
  std::string mode = "dhcp";  // --uplink-mode: dhcp or proxy
  std::string address{};      // --uplink-address, of the boot server in the mode proxy: 192.168.7.2/24
  std::string vlan{};         // --uplink-vlan, in the mode dhcp: the lab's VLAN that the wire is in
};

// `nic`: the NIC's own MAC address. Errors are of kind usage.
Result<UplinkPlan> plan_uplink(const LabPlan& lab, const UplinkRequest& request, const MacBytes& nic);

}  // namespace rookery::vboot
