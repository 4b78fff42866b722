// Whether the next byte of a TCP socket may be urgent (R10).
//
// recv(2) stops before an urgent byte if it has something to give before it, but one that begins at
// it reads on, and nothing tells afterwards; splice(2) never passes it, and fails there as at the
// end of the queue. So before each recv() it must be known what is there. Ordinarily the poller has
// just told: EPOLLIN without EPOLLPRI, and nothing read since. Where a read has left some, and
// bytes may have come since, a look (poll(2)) comes first: when a burst of splices has ended, where
// it takes the place of the recv() that would find nothing, and before each read after one that
// filled the buffer. Dialogues and spliced bulk make no system call more.
//
// What remains: an urgent byte that comes alone, while the kernel is between two instructions of a
// look or of the poller's (tcp_poll() looks for the urgent byte first, then for bytes), arrives at
// its place, but as an ordinary one. As on a direct connection, of two that are unread only the
// last is urgent: TCP has one mark. The notice of an urgent byte never overtakes the bytes before
// it, as it may on a direct connection: where the reader is slow it comes when what finhold and the
// kernel keep for it has gone. (2026-11-22; tests/integration/closing/test_urgent.py.)
#pragma once

#include <cstdint>

#include "net/poller.h"

namespace finhold::relay {

// The contract: told() of each edge, moved_on() after whatever took bytes, looked() after a look.
// Then must_look() says whether a look comes before the next read, and in_sight() whether an urgent
// byte is ahead, so that reading goes on until it is reached, and found() when it was read.
class UrgentMark {
 public:
  // `turn`: of the poller. Bytes waited when it told, and no urgent one; unless another event of
  // the same turn has let them be read meanwhile.
  void told(std::uint32_t events, std::uint16_t turn) {
    if ((events & EPOLLPRI) != 0) {
      next_ = Next::urgent_ahead;
    } else {
      next_ = (events & EPOLLIN) != 0 && read_turn_ != turn ? Next::ordinary : Next::unknown;
    }
  }
  void moved_on(std::uint16_t turn) {
    read_turn_ = turn;
    forget();
  }
  // More may have come, of which the poller has not told.
  void forget() {
    if (next_ == Next::ordinary) next_ = Next::unknown;
  }
  void looked(bool urgent) {
    if (urgent) next_ = Next::urgent_ahead;
  }
  void found() { next_ = Next::unknown; }

  [[nodiscard]] bool must_look() const { return next_ == Next::unknown; }
  [[nodiscard]] bool in_sight() const { return next_ == Next::urgent_ahead; }

 private:
  enum class Next : std::uint8_t { unknown, ordinary, urgent_ahead };

  std::uint16_t read_turn_ = 0;
  Next next_ = Next::unknown;
};

}  // namespace finhold::relay
