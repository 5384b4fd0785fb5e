// iPXE's settings: values that know their bytes and their type, so that ${mac} reads 52:54:00:… and
// ${mac:hexhyp} reads 52-54-00-…  Pure values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace rookery::ipxe {

enum class SettingType {
  string,
  uristring,
  ipv4,
  ipv6,
  int8,
  int16,
  int32,
  uint8,
  uint16,
  uint32,
  hex,
  hexhyp,
  hexraw,
  base64,
  uuid,
  guid
};

struct Setting {
  ByteBuffer bytes;
  SettingType type = SettingType::string;

  static Setting text(std::string_view value) {
    const ByteView view = as_bytes(value);
    return Setting{ByteBuffer(view.begin(), view.end()), SettingType::string};
  }
};

std::optional<SettingType> setting_type(std::string_view name);

// How the bytes read as that type; bytes that do not fit (an ipv4 of three bytes) read as nothing, as in
// iPXE.
std::string format_setting(ByteView bytes, SettingType type);

// The bytes that a text means: what `set name:type text` stores. Types that are only read are an error.
Result<ByteBuffer> parse_setting(std::string_view text, SettingType type);

}  // namespace rookery::ipxe
