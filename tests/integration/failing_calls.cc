// Preloaded (LD_PRELOAD) before libc, and before a sanitizer's runtime: counts what the program
// calls, and lets a call fail instead of making it, when failing.py says so in a file that both map
// (the environment's FAILING_CALLS).
//
// A call that fails has no effect, but for close(), which closes whatever it returns, as Linux's
// does. What is called is what the program and its libraries call, not what libc calls in functions
// of its own: those (getaddrinfo, fopen) fail as a whole.
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <new>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <utility>

namespace {

// One kind of call in the file, as failing.py has it too.
struct Call {
  char name[40];
  std::atomic<std::int64_t> made;
  std::atomic<std::int64_t> failed;    // since it was told to
  std::atomic<std::int64_t> until[2];  // each is counted down, and the call that makes one 0 fails
  std::atomic<std::int32_t> with[2];   // with that errno
};
static_assert(sizeof(Call) == 80 && std::atomic<std::int64_t>::is_always_lock_free);

// clang-format off
#define CALLS(X)                                                                                   \
  X(accept4) X(access) X(bind) X(calloc) X(cap_get_proc) X(cap_set_proc) X(close) X(connect)       \
  X(connect_datagram) X(dup) X(epoll_create1) X(epoll_ctl_add) X(epoll_wait) X(eventfd) X(fcntl)   \
  X(fopen) X(fstat) X(getaddrinfo) X(getpeername) X(getpwnam_r) X(getrandom) X(getrlimit)          \
  X(getsockname) X(getsockopt) X(ioctl) X(listen) X(malloc) X(memfd_create) X(mmap) X(new_)        \
  X(open) X(pipe2) X(poll) X(prctl) X(pread) X(pthread_create) X(read_event) X(read_file)          \
  X(realloc) X(recv) X(recvfrom) X(sched_getaffinity) X(send) X(setrlimit) X(setsockopt)           \
  X(shutdown) X(signalfd) X(socket) X(splice) X(stat) X(write_event) X(write_file)
// clang-format on

enum Kind {
#define KIND(name) kind_##name,
  CALLS(KIND)
#undef KIND
      kinds
};

constexpr const char* names[] = {
#define NAME(name) #name,
    CALLS(NAME)
#undef NAME
};

Call* calls = nullptr;  // nullptr: outside main(), where the loader and constructors are

// What a thread does before its own function is the runtime's of a sanitizer.
thread_local bool begun = false;

bool is_to_fail(Kind kind) {
  if (calls == nullptr || !begun) return false;
  Call& call = calls[kind];
  call.made.fetch_add(1);
  for (int i = 0; i < 2; ++i) {
    if (call.until[i].load() <= 0 || call.until[i].fetch_sub(1) != 1) continue;
    call.failed.fetch_add(1);
    errno = call.with[i].load();
    return true;
  }
  return false;
}

// Another definition of the same name, that which would be called without this library.
template <typename Function>
Function* next(const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) std::abort();
  return reinterpret_cast<Function*>(found);
}

}  // namespace

// Declared under names of their own: the headers' declarations differ in what they promise the
// compiler.
#define DEFINE(result, symbol, parameters)                    \
  extern "C" result our_##symbol parameters __asm__(#symbol); \
  result our_##symbol parameters

// No guarded initialisation: dlsym() itself may call what is wrapped here.
#define REAL(result, symbol, parameters)                             \
  using Function = result parameters;                                \
  static std::atomic<Function*> known{nullptr};                      \
  if (known.load() == nullptr) known.store(next<Function>(#symbol)); \
  Function* const real = known.load()

#define WRAP_AS(kind, failure, result, symbol, parameters, arguments) \
  DEFINE(result, symbol, parameters) {                                \
    REAL(result, symbol, parameters);                                 \
    return is_to_fail(kind_##kind) ? failure : real arguments;        \
  }
#define WRAP(result, symbol, parameters, arguments) \
  WRAP_AS(symbol, -1, result, symbol, parameters, arguments)

WRAP(int, accept4, (int fd, void* address, void* length, int flags), (fd, address, length, flags))
WRAP(int, access, (const char* path, int mode), (path, mode))
WRAP(int, bind, (int fd, const void* address, unsigned length), (fd, address, length))
WRAP_AS(cap_get_proc, nullptr, void*, cap_get_proc, (), ())
WRAP(int, cap_set_proc, (void* set), (set))
WRAP(int, dup, (int fd), (fd))
WRAP(int, epoll_create1, (int flags), (flags))
WRAP(int, epoll_wait, (int fd, void* events, int most, int timeout), (fd, events, most, timeout))
WRAP_AS(epoll_wait, -1, int, epoll_pwait,
        (int fd, void* events, int most, int timeout, const void* mask),
        (fd, events, most, timeout, mask))
WRAP(int, eventfd, (unsigned first, int flags), (first, flags))
WRAP_AS(fopen, nullptr, void*, fopen, (const char* path, const char* mode), (path, mode))
WRAP_AS(fopen, nullptr, void*, fopen64, (const char* path, const char* mode), (path, mode))
WRAP(int, fstat, (int fd, void* status), (fd, status))
WRAP_AS(fstat, -1, int, fstat64, (int fd, void* status), (fd, status))
WRAP(int, getpeername, (int fd, void* address, void* length), (fd, address, length))
WRAP_AS(getpwnam_r, errno, int, getpwnam_r,
        (const char* name, void* entry, char* buffer, std::size_t size, void* found),
        (name, entry, buffer, size, found))
WRAP(long, getrandom, (void* into, std::size_t size, unsigned flags), (into, size, flags))
WRAP(int, getrlimit, (int which, void* limit), (which, limit))
WRAP(int, getsockname, (int fd, void* address, void* length), (fd, address, length))
WRAP(int, getsockopt, (int fd, int level, int name, void* value, void* length),
     (fd, level, name, value, length))
WRAP(int, listen, (int fd, int backlog), (fd, backlog))
WRAP(int, memfd_create, (const char* name, unsigned flags), (name, flags))
WRAP_AS(mmap, MAP_FAILED, void*, mmap,
        (void* at, std::size_t size, int protection, int flags, int fd, long offset),
        (at, size, protection, flags, fd, offset))
WRAP(int, pipe2, (int* ends, int flags), (ends, flags))
WRAP(int, poll, (void* entries, unsigned long count, int timeout), (entries, count, timeout))
WRAP(int, prctl, (int what, long one, long two, long three, long four),
     (what, one, two, three, four))
WRAP(long, pread, (int fd, void* into, std::size_t size, long offset), (fd, into, size, offset))
WRAP(long, recv, (int fd, void* into, std::size_t size, int flags), (fd, into, size, flags))
WRAP_AS(recv, -1, long, __recv_chk,
        (int fd, void* into, std::size_t size, std::size_t room, int flags),
        (fd, into, size, room, flags))
WRAP(long, recvfrom, (int fd, void* into, std::size_t size, int flags, void* from, void* length),
     (fd, into, size, flags, from, length))
WRAP(int, sched_getaffinity, (int pid, std::size_t size, void* set), (pid, size, set))
WRAP(long, send, (int fd, const void* bytes, std::size_t size, int flags), (fd, bytes, size, flags))
WRAP(int, setrlimit, (int which, const void* limit), (which, limit))
WRAP(int, setsockopt, (int fd, int level, int name, const void* value, unsigned length),
     (fd, level, name, value, length))
WRAP(int, signalfd, (int fd, const void* set, int flags), (fd, set, flags))
WRAP(int, socket, (int family, int type, int protocol), (family, type, protocol))
WRAP(long, splice, (int from, void* at, int into, void* behind, std::size_t size, unsigned flags),
     (from, at, into, behind, size, flags))
WRAP(int, stat, (const char* path, void* status), (path, status))
WRAP_AS(malloc, nullptr, void*, malloc, (std::size_t size), (size))
WRAP_AS(calloc, nullptr, void*, calloc, (std::size_t count, std::size_t size), (count, size))
WRAP_AS(realloc, nullptr, void*, realloc, (void* block, std::size_t size), (block, size))

// What has a variable number of arguments takes one more at most.

DEFINE(int, fcntl, (int fd, int command, ...)) {
  using Function = int(int, int, ...);
  static std::atomic<Function*> known{nullptr};
  if (known.load() == nullptr) known.store(next<Function>("fcntl"));
  va_list more;
  va_start(more, command);
  void* const argument = va_arg(more, void*);
  va_end(more);
  return is_to_fail(kind_fcntl) ? -1 : known.load()(fd, command, argument);
}

DEFINE(int, ioctl, (int fd, unsigned long request, ...)) {
  using Function = int(int, unsigned long, ...);
  static std::atomic<Function*> known{nullptr};
  if (known.load() == nullptr) known.store(next<Function>("ioctl"));
  va_list more;
  va_start(more, request);
  void* const argument = va_arg(more, void*);
  va_end(more);
  return is_to_fail(kind_ioctl) ? -1 : known.load()(fd, request, argument);
}

DEFINE(int, open, (const char* path, int flags, ...)) {
  using Function = int(const char*, int, ...);
  static std::atomic<Function*> known{nullptr};
  if (known.load() == nullptr) known.store(next<Function>("open"));
  va_list more;
  va_start(more, flags);
  const unsigned mode = va_arg(more, unsigned);
  va_end(more);
  return is_to_fail(kind_open) ? -1 : known.load()(path, flags, mode);
}

// What is another call, depending on what it is for.

// An eventfd, a signalfd: an inode of no type.
static bool is_event(int fd) {
  struct stat status {};
  return calls != nullptr && next<int(int, void*)>("fstat")(fd, &status) == 0 &&
         (status.st_mode & S_IFMT) == 0;
}

DEFINE(long, read, (int fd, void* into, std::size_t size)) {
  REAL(long, read, (int, void*, std::size_t));
  return is_to_fail(is_event(fd) ? kind_read_event : kind_read_file) ? -1 : real(fd, into, size);
}

DEFINE(long, write, (int fd, const void* bytes, std::size_t size)) {
  REAL(long, write, (int, const void*, std::size_t));
  return is_to_fail(is_event(fd) ? kind_write_event : kind_write_file) ? -1 : real(fd, bytes, size);
}

DEFINE(int, connect, (int fd, const void* address, unsigned length)) {
  REAL(int, connect, (int, const void*, unsigned));
  int type = 0;
  unsigned size = sizeof type;
  next<int(int, int, int, void*, void*)>("getsockopt")(fd, SOL_SOCKET, SO_TYPE, &type, &size);
  return is_to_fail(type == SOCK_DGRAM ? kind_connect_datagram : kind_connect)
             ? -1
             : real(fd, address, length);
}

struct Start {
  void* (*run)(void*);
  void* with;
};

static void* run_thread(void* given) {
  const Start start = *static_cast<Start*>(given);
  std::free(given);
  begun = true;
  void* const result = start.run(start.with);
  begun = false;
  return result;
}

DEFINE(int, pthread_create,
       (void* thread, const void* attributes, void* (*run)(void*), void* with)) {
  REAL(int, pthread_create, (void*, const void*, void* (*)(void*), void*));
  if (is_to_fail(kind_pthread_create)) return errno;
  auto* const start = static_cast<Start*>(next<void*(std::size_t)>("malloc")(sizeof(Start)));
  *start = {run, with};
  const int code = real(thread, attributes, &run_thread, start);
  if (code != 0) std::free(start);
  return code;
}

DEFINE(int, getaddrinfo, (const char* node, const char* service, const void* hints, void* found)) {
  REAL(int, getaddrinfo, (const char*, const char*, const void*, void*));
  if (!is_to_fail(kind_getaddrinfo)) return real(node, service, hints, found);
  return std::exchange(errno, EMFILE);  // that of EAI_SYSTEM
}

// Only what would have succeeded fails, since what is there already never needs memory (EEXIST,
// EPOLL_CTL_MOD).
DEFINE(int, epoll_ctl, (int epoll, int operation, int fd, void* event)) {
  REAL(int, epoll_ctl, (int, int, int, void*));
  const int result = real(epoll, operation, fd, event);
  if (operation != EPOLL_CTL_ADD || result != 0 || !is_to_fail(kind_epoll_ctl_add)) return result;
  const int code = errno;
  real(epoll, EPOLL_CTL_DEL, fd, nullptr);
  errno = code;
  return -1;
}

// A connection that is not (any more) is no lie then.
DEFINE(int, shutdown, (int fd, int how)) {
  REAL(int, shutdown, (int, int));
  if (!is_to_fail(kind_shutdown)) return real(fd, how);
  const int code = errno;
  const sockaddr nobody{AF_UNSPEC, {}};
  if (code == ENOTCONN)
    next<int(int, const void*, unsigned)>("connect")(fd, &nobody, sizeof nobody);
  errno = code;
  return -1;
}

DEFINE(int, close, (int fd)) {
  REAL(int, close, (int));
  const int result = real(fd);
  return is_to_fail(kind_close) ? -1 : result;
}

// operator new and new[].

DEFINE(void*, _Znwm, (std::size_t size)) {
  REAL(void*, _Znwm, (std::size_t));
  if (is_to_fail(kind_new_)) throw std::bad_alloc();
  return real(size);
}

DEFINE(void*, _Znam, (std::size_t size)) {
  REAL(void*, _Znam, (std::size_t));
  if (is_to_fail(kind_new_)) throw std::bad_alloc();
  return real(size);
}

// From main() on.

using Main = int (*)(int, char**, char**);
static Main program = nullptr;

static void map_calls(const char* path) {
  const int fd = next<int(const char*, int, ...)>("open")(path, O_RDWR | O_CLOEXEC);
  void* const mapped =
      mmap(nullptr, sizeof(Call) * kinds, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd < 0 || mapped == MAP_FAILED) std::abort();
  next<int(int)>("close")(fd);
  auto* const file = static_cast<Call*>(mapped);
  for (int i = 0; i < kinds; ++i) std::snprintf(file[i].name, sizeof file[i].name, "%s", names[i]);
  calls = file;
}

static int begin(int count, char** arguments, char** environment) {
  if (const char* const path = std::getenv("FAILING_CALLS")) map_calls(path);
  begun = true;
  const int code = program(count, arguments, environment);
  calls = nullptr;
  return code;
}

DEFINE(int, __libc_start_main,
       (Main main, int count, char** arguments, void (*init)(), void (*fini)(), void (*loader)(),
        void* stack)) {
  REAL(int, __libc_start_main, (Main, int, char**, void (*)(), void (*)(), void (*)(), void*));
  program = main;
  return real(&begin, count, arguments, init, fini, loader, stack);
}
