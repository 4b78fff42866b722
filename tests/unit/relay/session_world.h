// Sessions whose legs are a test's, in one loop, and the log of them.
#pragma once

#include <arpa/inet.h>
#include <cstdio>
#include <functional>
#include <memory>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "base/log.h"
#include "net/loop.h"
#include "net/poller.h"
#include "net/timers.h"
#include "relay/session_table.h"
#include "unit/awaiting.h"
#include "unit/relay/memory_leg.h"

namespace finhold::tests {

inline base::Address address_of(const char* host, std::uint16_t port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  REQUIRE(inet_pton(AF_INET, host, &v4.sin_addr) == 1);
  return base::Address::from(reinterpret_cast<const sockaddr*>(&v4));
}

// The log of the process, at level info, into memory while this lives.
class LogCapture {
 public:
  LogCapture() : file_(std::tmpfile()), standard_error_(dup(STDERR_FILENO)) {
    base::log::configure(base::log::Level::info, base::log::Format::text);
    dup2(fileno(file_), STDERR_FILENO);
  }
  ~LogCapture() {
    dup2(standard_error_.get(), STDERR_FILENO);
    static_cast<void>(std::fclose(file_));
  }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  [[nodiscard]] std::string text() const {
    std::string text(4096, '\0');
    const ssize_t count = pread(fileno(file_), text.data(), text.size(), 0);
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return text;
  }
  [[nodiscard]] bool has(const char* part) const { return text().find(part) != std::string::npos; }

 private:
  std::FILE* file_;
  net::Descriptor standard_error_;
};

struct QuietLog {
  QuietLog() { base::log::configure(base::log::Level::error, base::log::Format::text); }
  QuietLog(const QuietLog&) = delete;
  QuietLog& operator=(const QuietLog&) = delete;
  ~QuietLog() { base::log::configure(base::log::Level::info, base::log::Format::text); }
};

struct SessionMachine {
  QuietLog quiet;
  net::Loop loop;
  net::Poller poller{loop};
  net::Timers timers{loop};
};

// What a worker is to its table. `client` and `server` are the legs of its session, while it lives.
class Sessions : private SessionMachine, private relay::SessionTable::Owner {
 public:
  Sessions() = default;
  virtual ~Sessions() = default;
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  // A session between a client in memory and a server in memory.
  void open() {
    next_ = std::make_unique<MemoryLeg>(server_fate);
    server = next_.get();
    dial({address_of("192.0.2.7", 7)});
  }

  // The same, and the server is one of these.
  void dial(const std::vector<base::Address>& servers) {
    auto leg = std::make_unique<MemoryLeg>(client_fate);
    client = leg.get();
    table_.open(route, std::move(leg), address_of("192.0.2.1", 1111), servers,
                address_of("198.51.100.4", 4444));
  }

  void cut() { table_.cut_all(); }

  // Until the sessions are over and destroyed.
  void run() {
    until([this] { return over(); });
  }
  // Runs the loop until it is so; fails the test after ten seconds.
  void until(const std::function<bool()>& is_so) { REQUIRE(awaiting_.until(is_so)); }
  [[nodiscard]] bool over() const { return table_.empty(); }

  relay::Route route;
  MemoryLeg* client = nullptr;
  MemoryLeg* server = nullptr;
  std::string client_fate;
  std::string server_fate;

 private:
  void on_empty() override {}
  std::unique_ptr<relay::Leg> leg_to_server(const relay::Session& session) override {
    REQUIRE(session.server() != nullptr);
    CHECK(session.route().tunnel == -1);
    CHECK(session.client() == address_of("192.0.2.1", 1111));
    return std::move(next_);
  }

  relay::SessionQuota quota_{10, false};
  relay::SessionTable table_{loop, poller, timers, quota_, *this, {}};
  std::unique_ptr<MemoryLeg> next_;
  Awaiting awaiting_{loop, poller, timers};
};

}  // namespace finhold::tests
