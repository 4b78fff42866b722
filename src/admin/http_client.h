// Asks another finhold, or whatever listens there.
#pragma once

#include <string>

#include "admin/http.h"
#include "base/address.h"
#include "base/result.h"

namespace finhold::admin {

// Blocking, for 5 s at most. Any thread. The mistake: what was tried, and what may help.
base::Result<Answer, base::Mistake> http_get(const base::Address& address, const std::string& path);

}  // namespace finhold::admin
