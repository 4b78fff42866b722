// Sockets between processes of this machine (unix(7)), which keep packets apart. Blocking; any
// thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "net/descriptor.h"

namespace finhold::net {

base::Result<std::pair<Descriptor, Descriptor>> local_pair();

// False: the other end is closed.
bool send_packet(int fd, std::string_view packet);
// Empty: the other end is closed. Nothing: no packet within that time. At most 8 KiB.
std::optional<std::string> receive_packet(int fd, std::chrono::milliseconds within);
// The other end reads the end; we still receive.
void finish_sending(int fd);

// Waits that long, or until the other end is closed or has finished sending; says whether it has.
bool has_ended(int fd, std::chrono::milliseconds within);

}  // namespace finhold::net
