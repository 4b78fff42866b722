// The status page: status_page.html, which cmake makes a string of.
#pragma once

#include <string_view>

namespace finhold::admin {

extern const std::string_view status_page;

}  // namespace finhold::admin
