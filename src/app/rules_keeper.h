// The process that loads the rules of a configuration, and removes them whatever becomes of
// finhold.
//
// A child that is forked before any thread exists. It alone keeps CAP_NET_ADMIN; finhold itself,
// which reads what strangers send, has none while it runs. It sees the end of finhold as the end of
// a socket, so the rules go also after SIGKILL; SIGTERM and SIGINT, which a terminal or systemd
// send to both, it leaves to finhold. What it cannot survive (SIGKILL for itself too, a power cut)
// leaves a set that the next start replaces; the socket tells finhold of the former.
#pragma once

#include <optional>
#include <sys/types.h>

#include "app/config.h"
#include "base/result.h"
#include "net/descriptor.h"

namespace finhold::app {

// On the main thread. Each call waits for nft and ip, which is some milliseconds, and 30 s at most.
class RulesKeeper {
 public:
  // Forks. Requires any_wants_rules(), and that there is no other thread. Nothing is loaded yet.
  static base::Result<RulesKeeper, base::Mistake> start(const Config& config);

  RulesKeeper(RulesKeeper&& from) noexcept;
  RulesKeeper& operator=(RulesKeeper&&) = delete;
  ~RulesKeeper();  // removes

  // Each says what went wrong, if something did.

  // At most one finhold in a network namespace has rules: waits a while for the removal by another
  // one that has just ended.
  std::optional<base::Mistake> load();
  // New connections go their own way again; those of sessions stay diverted.
  std::optional<base::Mistake> stop_catching();
  // EPOLLRDHUP there: the child has ended, though nobody has called remove(). Valid until then.
  [[nodiscard]] int socket() const { return socket_.get(); }

  // Ends the child. Nothing is done by a second call.
  std::optional<base::Mistake> remove();

 private:
  RulesKeeper(net::Descriptor socket, pid_t child) : socket_(std::move(socket)), child_(child) {}
  std::optional<base::Mistake> ask(char what);
  std::optional<base::Mistake> answer(char number);

  net::Descriptor socket_;
  pid_t child_;
  char asked_ = 0;
};

}  // namespace finhold::app
