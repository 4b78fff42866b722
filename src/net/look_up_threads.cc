#include "net/look_up_threads.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <netdb.h>
#include <new>
#include <pthread.h>
#include <system_error>
#include <thread>
#include <utility>

namespace finhold::net {
namespace {

// Names whose servers do not answer take one each, for some seconds.
constexpr std::size_t at_least = 2;
constexpr std::size_t at_most = 16;

struct Pool {
  std::mutex mutex;
  std::condition_variable news;
  std::deque<std::unique_ptr<LookUp>> waiting;
  std::vector<LookUp*> under_way;
  std::vector<std::thread> threads;
  std::size_t idle = 0;
  bool ending = false;
};

// Never destroyed: a thread may be in getaddrinfo() until the very end of the process.
Pool& pool() {
  static Pool* const made = new Pool;  // NOLINT(cppcoreguidelines-owning-memory)
  return *made;
}

struct FreeFound {
  void operator()(addrinfo* found) const { freeaddrinfo(found); }
};

// 0: the name has no address, and somebody was there to say so.
int as_errno(int status) {
  switch (status) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
      return 0;
    case EAI_MEMORY:
      return ENOMEM;
    case EAI_SYSTEM:
      return errno != 0 ? errno : EAGAIN;
    default:
      return EAGAIN;
  }
}

void look_up(LookUp& wanted) try {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  errno = 0;
  const int status =
      getaddrinfo(wanted.host.host.c_str(), std::to_string(wanted.host.port).c_str(), &hints, &raw);
  if (status != 0) {
    wanted.error = as_errno(status);
    return;
  }
  const std::unique_ptr<addrinfo, FreeFound> found(raw);
  for (const addrinfo* each = raw; each != nullptr; each = each->ai_next) {
    if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
    wanted.addresses.push_back(base::Address::from(each->ai_addr));
  }
} catch (const std::bad_alloc&) {
  wanted.addresses.clear();
  wanted.error = ENOMEM;
}

void run() {
  pthread_setname_np(pthread_self(), "names");
  Pool& its = pool();
  std::unique_lock lock(its.mutex);
  for (;;) {
    ++its.idle;
    its.news.wait(lock, [&] { return its.ending || !its.waiting.empty(); });
    --its.idle;
    if (its.ending) return;
    auto wanted = std::move(its.waiting.front());
    its.waiting.pop_front();
    its.under_way.push_back(wanted.get());
    lock.unlock();
    look_up(*wanted);
    lock.lock();
    std::erase(its.under_way, wanted.get());
    if (LookUp::Asker* const asker = wanted->asker) asker->on_looked_up(std::move(wanted));
  }
}

// Under the mutex.
void make_thread(Pool& its) {
  its.threads.reserve(at_most);
  its.threads.emplace_back(run);
}

}  // namespace

void LookUpThreads::begin() {
  Pool& its = pool();
  const std::lock_guard lock(its.mutex);
  its.under_way.reserve(at_most);
  while (its.threads.size() < at_least) make_thread(its);
}

int LookUpThreads::ask(std::unique_ptr<LookUp> look_up) {
  Pool& its = pool();
  const std::lock_guard lock(its.mutex);
  if (its.idle <= its.waiting.size() && its.threads.size() < at_most) {
    try {
      make_thread(its);
    } catch (const std::system_error& failure) {
      // The others do, if there are any.
      if (its.threads.empty()) return failure.code().value();
    }
  }
  its.waiting.push_back(std::move(look_up));
  its.news.notify_one();
  return 0;
}

void LookUpThreads::forget(const LookUp::Asker& asker) {
  Pool& its = pool();
  const std::lock_guard lock(its.mutex);
  std::erase_if(its.waiting, [&](const auto& each) { return each->asker == &asker; });
  for (LookUp* each : its.under_way) {
    if (each->asker == &asker) each->asker = nullptr;
  }
}

std::uint32_t LookUpThreads::running() {
  Pool& its = pool();
  const std::lock_guard lock(its.mutex);
  return static_cast<std::uint32_t>(its.under_way.size() + its.waiting.size());
}

bool LookUpThreads::end() {
  Pool& its = pool();
  std::unique_lock lock(its.mutex);
  if (!its.under_way.empty() || !its.waiting.empty()) return false;
  its.ending = true;
  auto threads = std::exchange(its.threads, {});
  its.news.notify_all();
  lock.unlock();
  for (std::thread& thread : threads) thread.join();
  lock.lock();
  its.ending = false;
  return true;
}

}  // namespace finhold::net
