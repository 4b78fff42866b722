// Preloaded into a finhold, it puts in the fault that SOAK_FAULT names, so that tests/lab/test_soak.py sees that the soak finds it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fault_is(const char* name) {
  const char* fault = getenv("SOAK_FAULT");
  return fault != NULL && strcmp(fault, name) == 0;
}

// "wrong-byte": in one of a hundred pieces.
ssize_t recv(int fd, void* into, size_t size, int flags) {
  static int pieces;
  ssize_t (*real)(int, void*, size_t, int) = dlsym(RTLD_NEXT, "recv");
  ssize_t count = real(fd, into, size, flags);
  if (count > 100 && fault_is("wrong-byte") && __sync_add_and_fetch(&pieces, 1) % 100 == 0) {
    ((char*)into)[count / 2] ^= 1;
  }
  return count;
}

ssize_t __recv_chk(int fd, void* into, size_t size, size_t room, int flags) {  // with _FORTIFY_SOURCE
  (void)room;
  return recv(fd, into, size, flags);
}

// "false-end": close() sends a FIN, whatever it was told.
int setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  int (*real)(int, int, int, const void*, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
  if (level == SOL_SOCKET && name == SO_LINGER && fault_is("false-end")) return 0;
  return real(fd, level, name, value, length);
}

// "leak": a descriptor and 4 KiB for each connection.
int accept4(int fd, struct sockaddr* address, socklen_t* length, int flags) {
  int (*real)(int, struct sockaddr*, socklen_t*, int) = dlsym(RTLD_NEXT, "accept4");
  int accepted = real(fd, address, length, flags);
  if (accepted >= 0 && fault_is("leak")) {
    char* volatile lost = malloc(4096);
    memset(lost, 1, 4096);
    if (dup(STDOUT_FILENO) < 0) abort();
  }
  return accepted;
}
