#include "guest/script/boot_url.h"

#include <algorithm>
#include <cctype>
#include <vector>

namespace rookery::ipxe {
namespace {

bool is_plain(char c) {
  return c > ' ' && c < 127;
}

bool starts_with_scheme(std::string_view text) {
  const std::size_t end = text.find("://");
  return end != std::string_view::npos && end > 0 &&
         std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '-' || c == '.';
         });
}

Result<std::uint16_t> parse_port(std::string_view text) {
  unsigned value = 0;
  if (text.empty() || text.size() > 5) return fail("a port is a number from 1 to 65535");
  for (char c : text) {
    if (c < '0' || c > '9') return fail("a port is a number from 1 to 65535");
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (value == 0 || value > 65535) return fail("a port is a number from 1 to 65535");
  return static_cast<std::uint16_t>(value);
}

// RFC 3986 §5.2.4: "." and ".." never climb above the root.
std::string without_dots(std::string_view path) {
  const std::size_t query = path.find('?');
  const std::string_view tail = query == std::string_view::npos ? std::string_view{} : path.substr(query);
  path = path.substr(0, query);
  std::vector<std::string_view> parts;
  bool folder = false;
  for (std::size_t at = 1; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    folder = end == path.size() && (part == "." || part == "..");
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (part != ".") {
      parts.push_back(part);
    }
    at = end + 1;
  }
  std::string joined;
  for (std::string_view part : parts) (joined += '/') += part;
  if (folder || joined.empty()) joined += '/';
  return joined.append(tail);
}

}  // namespace

std::string BootUrl::to_string() const {
  std::string text = scheme + "://";
  text += host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != 0) text += ":" + std::to_string(port);
  return text + path;
}

std::string BootUrl::file_name() const {
  const std::string bare = path.substr(0, path.find('?'));
  return bare.substr(bare.find_last_of('/') + 1);
}

Result<BootUrl> parse_url(std::string_view text) {
  const auto refuse = [text](std::string_view why) {
    return fail("the address '" + std::string(text.substr(0, 200)) + "' " + std::string(why));
  };
  if (text.size() > kUrlMax) return refuse("is too long");
  if (!std::all_of(text.begin(), text.end(), is_plain)) return refuse("has a character that no address has");
  if (!starts_with_scheme(text)) return refuse("does not begin with a scheme such as http://");
  BootUrl url;
  const std::size_t scheme_end = text.find("://");
  for (char c : text.substr(0, scheme_end)) {
    url.scheme += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  std::string_view rest = text.substr(scheme_end + 3);
  const std::size_t path_at = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, path_at);
  url.path = rest.substr(path_at);
  if (url.path.empty() || url.path.front() != '/') url.path.insert(0, 1, '/');

  if (authority.find('@') != std::string_view::npos)
    return refuse("has a user name, which is not understood");
  std::string_view port;
  bool has_port = false;
  if (!authority.empty() && authority.front() == '[') {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return refuse("has no closing bracket");
    url.host = authority.substr(1, close - 1);
    authority.remove_prefix(close + 1);
    if (!authority.empty() && authority.front() != ':') return refuse("has something after the bracket");
    has_port = !authority.empty();
    if (has_port) port = authority.substr(1);
  } else {
    const std::size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    has_port = colon != std::string_view::npos;
    if (has_port) port = authority.substr(colon + 1);
  }
  if (url.host.empty()) return refuse("has no host");
  if (url.host.front() == '-') return refuse("has no host");  // nor an option for the program that fetches it
  if (has_port) {
    const Result<std::uint16_t> number = parse_port(port);
    if (!number) return refuse("has a wrong port: " + number.error().message);
    url.port = *number;
  }
  return url;
}

Result<BootUrl> resolve_url(const BootUrl& base, std::string_view reference) {
  if (reference.empty()) return fail("an empty address");
  if (starts_with_scheme(reference)) return parse_url(reference);
  if (reference.starts_with("//")) return parse_url(base.scheme + ":" + std::string(reference));
  BootUrl url = base;
  if (reference.front() == '/') {
    url.path = reference;
  } else {
    const std::string bare = base.path.substr(0, base.path.find('?'));
    url.path = bare.substr(0, bare.find_last_of('/') + 1) + std::string(reference);
  }
  url.path = without_dots(url.path);
  return parse_url(url.to_string());
}

}  // namespace rookery::ipxe
