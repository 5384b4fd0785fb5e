// The style and the script of the report's page: page.css and page.js, as the build found them.
#pragma once

#include <string_view>

namespace rookery::vboot {

extern const std::string_view kPageStyle, kPageScript;

}  // namespace rookery::vboot
