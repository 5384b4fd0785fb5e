// Any text as a lab file: it is refused by name, or makes a plan in which every machine has a name and an
// address of its own, inside of the subnet.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string_view>

#include "base/bytes.h"
#include "vboot/lab/lab_plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rookery;
  const auto lab = vboot::parse_lab(as_text({data, size}), "fuzz.yaml");
  if (!lab) {
    if (lab.error().kind != ErrorKind::usage || !lab.error().message.starts_with("fuzz.yaml:")) std::abort();
    return 0;
  }
  const auto plan = vboot::plan_lab(*lab, {});
  if (!plan) return 0;
  std::set<std::string_view> names;
  std::set<std::uint32_t> addresses;  // of all VLANs: their subnets do not overlap
  for (const vboot::MachinePlan& machine : plan->machines) {
    const vboot::Ipv4Subnet subnet = plan->vlans.at(machine.vlan_index).subnet;
    const bool inside = (machine.address.value & subnet.netmask().value) == subnet.network.value &&
                        machine.switch_index < plan->switches.size();
    if (!inside || !names.insert(machine.name).second || !addresses.insert(machine.address.value).second)
      std::abort();
  }
  return 0;
}
