// Pipes for splice(2), one pool a worker. Bytes that pass through a pipe from socket to socket are
// moved by reference; the process never sees them.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "net/descriptor.h"
#include "net/loop.h"

namespace finhold::net {

// A pipe, and how many bytes are in it.
struct Pipe {
  Descriptor read_end;
  Descriptor write_end;
  std::size_t bytes = 0;
};

// On the worker's thread.
class PipePool {
 public:
  // Smaller pipes are not worth it: through 256 KiB, splice costs as much as copying.
  static constexpr std::size_t pipe_size = std::size_t{1} << 20;

  // At most `most` pipes exist at a time: those of an unprivileged user may hold 64 MiB together
  // (fs.pipe-user-pages-soft, pipe(7)), and each slow reader keeps one.
  explicit PipePool(Loop& loop, std::size_t most) : loop_(loop), most_(most) {}

  // An empty pipe of pipe_size; nullptr if there are enough already, or the kernel has none (too
  // many descriptors or pipe pages): it is asked again a second later.
  std::unique_ptr<Pipe> take();

  // An empty pipe is kept for the next; one with bytes in it is closed.
  void give_back(std::unique_ptr<Pipe> pipe);

  // Closes the pipes that are kept.
  void trim() { spare_.clear(); }

 private:
  static constexpr Instant retry_after_ms = 1000;

  Loop& loop_;
  std::size_t most_;
  std::size_t taken_ = 0;
  Instant not_before_ = 0;
  std::vector<std::unique_ptr<Pipe>> spare_;
};

}  // namespace finhold::net
