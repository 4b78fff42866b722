#include "net/look_up_threads.h"

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <netdb.h>
#include <new>
#include <pthread.h>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace finhold::net {
namespace {

// Names whose servers do not answer take one each, for some seconds.
constexpr std::size_t at_least = 2;
constexpr std::size_t at_most = 64;

// Sooner than a name server is asked again.
constexpr std::chrono::seconds at_once_within(1);

struct Pool {
  std::mutex mutex;
  std::condition_variable news;
  LookUpQueue queue{at_most};
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
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* raw = nullptr;
  errno = 0;
  const int status = getaddrinfo(wanted.host.host.c_str(), nullptr, &hints, &raw);
  if (status != 0) {
    wanted.error = as_errno(status);
    return;
  }
  const std::unique_ptr<addrinfo, FreeFound> found(raw);
  for (const addrinfo* each = raw; each != nullptr; each = each->ai_next) {
    if (wanted.addresses.size() == LookUp::most_addresses) break;
    if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
    wanted.addresses.push_back(base::Address::from(each->ai_addr).with_port(wanted.host.port));
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
    LookUp* wanted = nullptr;
    ++its.idle;
    its.news.wait(lock, [&] { return its.ending || (wanted = its.queue.start()) != nullptr; });
    --its.idle;
    if (wanted == nullptr) return;
    lock.unlock();
    const auto before = std::chrono::steady_clock::now();
    look_up(*wanted);
    const bool at_once =
        !wanted->addresses.empty() && std::chrono::steady_clock::now() - before < at_once_within;
    lock.lock();
    // A place that this makes is for one more at most, and this thread takes it.
    for (auto& each : its.queue.finish(*wanted, at_once)) {
      LookUp::Asker& asker = *each->asker;
      asker.on_looked_up(std::move(each));
    }
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
  while (its.threads.size() < at_least) make_thread(its);
}

int LookUpThreads::ask(std::unique_ptr<LookUp> look_up) {
  Pool& its = pool();
  const std::lock_guard lock(its.mutex);
  if (its.idle <= its.queue.waiting() && its.threads.size() < at_most) {
    try {
      make_thread(its);
      its.queue.set_threads(at_most);
    } catch (const std::system_error& failure) {
      // The others do, if there are any; they are shared out then.
      if (its.threads.empty()) return failure.code().value();
      its.queue.set_threads(its.threads.size());
    }
  }
  const int failure = its.queue.add(std::move(look_up));
  if (failure == 0) its.news.notify_one();
  return failure;
}

void LookUpThreads::withdraw(const LookUp::Asker& asker, const base::HostPort& host,
                             std::string_view owner) {
  Pool& its = pool();
  const std::lock_guard lock(its.mutex);
  its.queue.withdraw(asker, host, owner);
}

void LookUpThreads::forget(const LookUp::Asker& asker) {
  Pool& its = pool();
  const std::lock_guard lock(its.mutex);
  its.queue.forget(asker);
}

bool LookUpThreads::end() {
  Pool& its = pool();
  std::unique_lock lock(its.mutex);
  if (its.queue.running() > 0 || its.queue.waiting() > 0) return false;
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
