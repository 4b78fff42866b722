#include "net/pipe_pool.h"

#include <array>
#include <fcntl.h>
#include <unistd.h>

#include "base/check.h"

namespace finhold::net {
namespace {

std::unique_ptr<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
  auto pipe = std::make_unique<Pipe>();
  pipe->read_end = Descriptor(ends[0]);
  pipe->write_end = Descriptor(ends[1]);
  const int size = fcntl(ends[0], F_SETPIPE_SZ, static_cast<int>(PipePool::pipe_size));
  if (size < static_cast<int>(PipePool::pipe_size)) return nullptr;
  return pipe;
}

}  // namespace

std::unique_ptr<Pipe> PipePool::take() {
  std::unique_ptr<Pipe> pipe;
  if (!spare_.empty()) {
    pipe = std::move(spare_.back());
    spare_.pop_back();
  } else {
    if (taken_ >= most_ || loop_.now() < not_before_) return nullptr;
    pipe = make_pipe();
    if (!pipe) {
      not_before_ = loop_.now() + retry_after_ms;
      return nullptr;
    }
  }
  ++taken_;
  return pipe;
}

void PipePool::give_back(std::unique_ptr<Pipe> pipe) {
  FINHOLD_CHECK(taken_ > 0);
  --taken_;
  if (pipe->bytes == 0) spare_.push_back(std::move(pipe));
}

}  // namespace finhold::net
