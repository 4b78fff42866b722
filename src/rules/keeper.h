// The process that loads the rules of a configuration, and removes them whatever becomes of
// finhold.
//
// A child that is forked before any thread exists. It alone keeps CAP_NET_ADMIN; finhold itself,
// which reads what strangers send, has none while it runs. It sees the end of finhold as the end of
// a socket, so the rules go also after SIGKILL; signals that a terminal or systemd send to both,
// SIGABRT of a watchdog too, it leaves to finhold. The table is its own (nft_library.h): nobody
// else can flush it, and it goes with the process, whatever ends that. What is left then are rules
// and routes that concern nothing any more, and that the next start replaces. Policy routing
// belongs to nobody: the keeper hears when somebody removes it, and adds it again.
#pragma once

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "net/descriptor.h"

namespace finhold::rules {

// On the main thread. Each call waits for nft and ip, which is some milliseconds, and 30 s at most.
class RulesKeeper {
 public:
  // Gives up in the child what it does not need for CAP_NET_ADMIN.
  using GiveUp = std::optional<base::Mistake> (*)(const config::Config& config);

  // Forks. Requires any_wants_rules(), CAP_NET_ADMIN, and that there is no other thread. Nothing is
  // loaded yet.
  static base::Result<RulesKeeper, base::Mistake> start(const config::Config& config,
                                                        GiveUp give_up);

  RulesKeeper(RulesKeeper&& from) noexcept;
  RulesKeeper& operator=(RulesKeeper&&) = delete;
  ~RulesKeeper();  // removes

  // Each says what went wrong, if something did.

  // At most one finhold in a network namespace has rules: waits a while for the removal by another
  // one that has just ended.
  std::optional<base::Mistake> load();
  // New connections go their own way again; those of sessions stay diverted.
  std::optional<base::Mistake> stop_catching();
  // EPOLLRDHUP there: the child has ended, though nobody has called remove(), and the table with
  // it. EPOLLIN: notices(). Valid until then.
  [[nodiscard]] int socket() const { return socket_.get(); }

  struct Notice {
    enum class What : char { removed = 'r', restored = 'b' };
    What what;
    std::string why;  // of a removal that cannot be undone yet: what was tried
  };
  // What has come since the last call; waits for nothing.
  std::vector<Notice> notices();

  // Ends the child. Nothing is done by a second call.
  std::optional<base::Mistake> remove();

 private:
  RulesKeeper(net::Descriptor socket, pid_t child) : socket_(std::move(socket)), child_(child) {}
  std::optional<base::Mistake> ask(char what);
  std::optional<base::Mistake> answer(char number);
  void note(const std::string& packet);

  net::Descriptor socket_;
  pid_t child_;
  char asked_ = 0;
  std::vector<Notice> notices_;
};

}  // namespace finhold::rules
