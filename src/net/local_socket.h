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

// A name that no file stands for; one for each network namespace (the abstract namespace). It is
// taken (EADDRINUSE) until the last descriptor of its socket is closed, or its process has ended.
base::Result<Descriptor> listen_local(std::string_view name);
// Hangs up when the listening socket is closed. ECONNREFUSED: there is none.
base::Result<Descriptor> connect_local(std::string_view name);

base::Result<std::pair<Descriptor, Descriptor>> local_pair();

// False: the other end is closed.
bool send_packet(int fd, std::string_view packet);
// Empty: the other end is closed. Nothing: no packet within that time. At most 8 KiB.
std::optional<std::string> receive_packet(int fd, std::chrono::milliseconds within);
// The other end reads the end; we still receive.
void finish_sending(int fd);

// Waits until the other end is closed or has finished sending, and says whether it has. Ends
// earlier, too, when that has happened to `also`, or the time is over.
bool has_ended(int fd, int also, std::chrono::milliseconds within);

}  // namespace finhold::net
