// A model of Linux's TCP, as far as a program can see it: states, buffers, windows, what a close()
// leaves behind, resets, repetitions, keepalive, and what epoll is told. By the sources of Linux
// 6.x (net/ipv4/tcp.c, tcp_input.c, tcp_timer.c, tcp_minisocks.c) and ../../shared/MECHANISMS.md;
// tests/integration compares the real ones. Not in it: congestion, reordering, urgent bytes, SACK.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "simulation/agenda.h"
#include "simulation/network.h"

namespace finhold::simulation {

class Connection;

struct Buffers {
  std::size_t send = 64 << 10;  // bytes
  std::size_t receive = 64 << 10;
};

// One end of a connection, with or without somebody who holds it.
class Socket final : private Actor {
 public:
  enum class State : std::uint8_t {
    fresh,  // not connected yet
    syn_sent,
    syn_received,
    established,
    fin_wait_1,
    fin_wait_2,
    close_wait,
    closing,
    last_ack,
    time_wait,
    closed,
  };

  class Holder {
   public:
    // Something has changed that epoll would tell.
    virtual void on_socket(Socket& socket) = 0;

   protected:
    ~Holder() = default;
  };

  Socket(Agenda& agenda, Connection& connection, int end, const Buffers& buffers)
      : agenda_(agenda), connection_(connection), end_(end), buffers_(buffers) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void hold(Holder& holder) { holder_ = &holder; }

  // As the system calls: -1 and `error` is the errno. All are non-blocking.
  void connect();
  long receive(std::span<char> into, bool peek, int& error);
  long send(std::span<const char> bytes, int& error);
  int shutdown_write();
  void close();
  int take_error();
  [[nodiscard]] std::uint32_t poll();  // EPOLL...
  [[nodiscard]] std::size_t unread() const { return in_.size() - in_begin_; }
  [[nodiscard]] std::size_t unacknowledged() const;  // SIOCOUTQ
  [[nodiscard]] std::size_t unsent() const;          // SIOCOUTQNSD
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool is_connected() const {
    return state_ != State::fresh && state_ != State::syn_sent && state_ != State::closed &&
           state_ != State::time_wait;
  }
  // As INET_DIAG_SHUTDOWN: 1 receiving, 2 sending.
  [[nodiscard]] int shut() const { return (in_shut_ ? 1 : 0) | (out_shut_ ? 2 : 0); }
  // Whether a FIN has come.
  [[nodiscard]] bool has_ended() const { return done_; }
  [[nodiscard]] bool is_held() const { return holder_ != nullptr; }

  void set_linger_reset(bool on) { lingers_ = on; }
  void set_keepalive(bool on) { keepalive_ = on; }
  void set_keepalive_idle(Time time);
  void set_keepalive_interval(Time time) { keepalive_interval_ = time; }
  void set_longest_repeat(Time time) { longest_repeat_ = time; }
  void set_keepalive_probes(int probes) { keepalive_probes_ = probes; }

  // As tcp_info.
  [[nodiscard]] bool is_in_flight() const { return next_ > acked_; }
  [[nodiscard]] int retransmits() const { return retransmits_; }
  [[nodiscard]] int probes() const { return probes_; }
  [[nodiscard]] Time heard_at() const { return heard_at_; }
  [[nodiscard]] Connection& connection() const { return connection_; }
  [[nodiscard]] int end() const { return end_; }

  // Bytes that were acknowledged to the other end, in all.
  [[nodiscard]] std::uint64_t received() const { return expected_ == 0 ? 0 : expected_ - 1; }

  void on_segment(const Segment& segment);

 private:
  static constexpr Time first_repeat = 200 * ms;
  static constexpr int repeats = 15;          // net.ipv4.tcp_retries2
  static constexpr int syn_repeats = 6;       // net.ipv4.tcp_syn_retries
  static constexpr int orphan_repeats = 8;    // net.ipv4.tcp_orphan_retries, which is 0
  static constexpr Time closed_for = 60 * s;  // TIME_WAIT, and FIN_WAIT2 of an orphan
  static constexpr std::size_t most_in_segment = 16 << 10;
  enum Timer : std::uint8_t { repeat, keepalive, end_of_life, timers };

  void on_event(std::uint64_t what) override;
  void set_timer(Timer timer, Time after);
  void stop_timer(Timer timer) {
    ++generation_[timer];
    running_[timer] = false;
  }
  void on_repeat();
  void on_keepalive();
  void shift(const Segment& segment);
  void on_ack(const Segment& segment);
  void on_fin();
  void fin_acknowledged();
  void on_reset();
  void push();
  [[nodiscard]] Segment make(std::uint64_t from) const;
  void transmit(std::uint64_t from, std::size_t most);
  void answer();
  void probe();
  void send_reset();
  void fail(int error);
  void become_closed();
  void tell();
  [[nodiscard]] std::uint64_t written() const;
  [[nodiscard]] std::size_t window() const;
  [[nodiscard]] std::size_t room() const;
  [[nodiscard]] bool is_writable() const;
  [[nodiscard]] Time repeat_after() const;

  Agenda& agenda_;
  Connection& connection_;
  int end_;
  Buffers buffers_;
  Holder* holder_ = nullptr;
  State state_ = State::fresh;
  std::array<std::uint64_t, timers> generation_{};
  std::array<bool, timers> running_{};

  std::string out_;                  // from acked_ on; SYN and FIN are not in it
  std::uint64_t acked_ = 0;          // snd_una
  std::uint64_t next_ = 0;           // snd_nxt
  std::uint64_t right_ = 0;          // how far the other end lets us send
  std::uint64_t repaired_from_ = 0;  // what is before that and not acknowledged is sent again
  bool fin_queued_ = false;
  bool fin_acked_ = false;
  std::string in_;
  std::size_t in_begin_ = 0;
  std::uint64_t expected_ = 0;  // rcv_nxt
  std::uint64_t told_right_ = 0;

  int error_ = 0;
  bool in_shut_ = false;   // RCV_SHUTDOWN
  bool out_shut_ = false;  // SEND_SHUTDOWN
  bool done_ = false;      // SOCK_DONE: a FIN has come
  bool no_space_ = false;  // SOCK_NOSPACE
  bool lingers_ = false;   // SO_LINGER {1, 0}
  bool orphan_ = false;

  bool keepalive_ = false;
  Time keepalive_idle_ = 2 * hour;
  Time keepalive_interval_ = 75 * s;
  int keepalive_probes_ = 9;
  Time longest_repeat_ = 120 * s;  // TCP_RTO_MAX_MS
  Time heard_at_ = 0;
  int retransmits_ = 0;
  int probes_ = 0;
  int backoff_ = 0;
};

const char* name(Socket::State state);

}  // namespace finhold::simulation
