// A program at one end: a few steps, and what it saw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "simulation/agenda.h"
#include "simulation/tcp.h"

namespace finhold::simulation {

struct Step {
  enum class Kind : std::uint8_t {
    send,         // `amount` bytes, waiting for room
    end,          // shutdown(SHUT_WR)
    close,        // close(): the last step
    abort,        // SO_LINGER {1, 0} and close(): the last step
    pause,        // reads nothing from here on
    resume,       // reads again
    sleep,        // `amount` microseconds
    await_bytes,  // until `amount` have been received, or none can come
    await_end,    // until the other end has ended, or failed
  };
  Kind kind;
  std::uint64_t amount = 0;

  friend bool operator==(const Step&, const Step&) = default;
};

using Script = std::vector<Step>;

std::string describe(const Script& script);

// What a program saw. What it did not see is not there to be compared: how long it took, in what
// pieces, and with what a write failed that would have failed anyway.
struct Seen {
  enum class Last : std::uint8_t {
    nothing,  // it has closed or aborted before it saw an end
    end,      // all of the other end's bytes, and its FIN
    failed,   // reset, refused
    timed_out,
    stalled,  // it waited for hours
  };
  std::uint64_t received = 0;
  std::uint64_t sent = 0;  // that its kernel took
  Last last = Last::nothing;
  bool wrong_bytes = false;
  bool connected = false;
  bool did_end = false;  // by shutdown(2) or close(2), and no abort
  bool did_abort = false;
  Time last_at = 0;  // when it saw that, or closed itself
};

std::string describe(const Seen& seen);

// After the last step, if that is not its own end, it reads to the end and closes.
class Application final : public Socket::Holder, private Actor {
 public:
  // Everything referred to outlives it. `stream`: what its bytes are made of; `other_stream`: what
  // those of the other end are.
  Application(Agenda& agenda, const Script& script, int stream, int other_stream)
      : agenda_(agenda), script_(script), stream_(stream), other_stream_(other_stream) {}
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  // A socket that is connected, or will be.
  void start(Socket& socket);

  [[nodiscard]] const Seen& seen() const { return seen_; }
  [[nodiscard]] bool is_over() const { return over_; }
  [[nodiscard]] bool was_started() const { return socket_ != nullptr; }
  // It has waited for hours.
  void give_up();

 private:
  void on_socket(Socket& socket) override;
  void on_event(std::uint64_t what) override;
  void go_on();
  bool do_step(const Step& step);
  bool send(std::uint64_t amount);
  void read();
  void finish(bool abort);

  Agenda& agenda_;
  const Script& script_;
  int stream_;
  int other_stream_;
  Socket* socket_ = nullptr;
  Seen seen_;
  std::size_t step_ = 0;
  std::uint64_t sent_in_step_ = 0;
  bool reading_ = true;
  bool sleeping_ = false;
  bool slept_ = false;
  bool cannot_write_ = false;
  bool over_ = false;
  bool busy_ = false;
};

}  // namespace finhold::simulation
