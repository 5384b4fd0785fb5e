#include "vboot/lab/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>

namespace rookery::vboot {
namespace {

constexpr unsigned kShortestPrefix = 8, kLongestPrefix = 28;

tl::unexpected<Error> no_subnet(std::string_view text, std::string_view why) {
  return fail(ErrorKind::usage,
              fmt::format("expected a network like '10.77.0.0/16', found '{}'{}", text, why));
}

}  // namespace

std::string to_text(Ipv4 a) {
  return fmt::format("{}.{}.{}.{}", a.value >> 24, a.value >> 16 & 255, a.value >> 8 & 255, a.value & 255);
}
std::string to_text(Ipv4Subnet subnet) {
  return fmt::format("{}/{}", to_text(subnet.network), subnet.prefix);
}
std::string to_text(const MacBytes& mac) {
  return fmt::format("{:02x}", fmt::join(mac, ":"));
}

Result<Ipv4> parse_ipv4(std::string_view text) {
  in_addr address{};
  // inet_pton takes dotted quads only, without leading zeros: the one form that nobody misreads.
  if (::inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) {
    return fail(ErrorKind::usage, fmt::format("expected an address like '10.77.0.1', found '{}'", text));
  }
  return Ipv4{ntohl(address.s_addr)};
}

Result<Ipv4Subnet> parse_subnet(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return no_subnet(text, " (the prefix length is missing)");
  auto network = parse_ipv4(text.substr(0, slash));
  if (!network) return no_subnet(text, "");
  const std::string_view digits = text.substr(slash + 1);
  unsigned prefix = 0;
  auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  if (problem != std::errc{} || end != digits.data() + digits.size()) return no_subnet(text, "");
  if (prefix < kShortestPrefix || prefix > kLongestPrefix) {
    return no_subnet(text,
                     fmt::format(" (the prefix length must be {} to {})", kShortestPrefix, kLongestPrefix));
  }
  Ipv4Subnet subnet{*network, prefix};
  subnet.network.value &= subnet.netmask().value;
  if (subnet.network != *network) {
    return no_subnet(text, fmt::format(" (an address inside of it); did you mean '{}'?", to_text(subnet)));
  }
  return subnet;
}

}  // namespace rookery::vboot
