/*
 * Preloaded into a relay by tests: a disk that fails, fills up, is slow, or loses what was not synced.
 *
 * QASID_EIO_FILE      while it exists, fsync and fdatasync fail with EIO
 * QASID_FULL_FILE     while it exists, writes to the database fail with ENOSPC
 * QASID_SLOW_FILE     while it exists, fsync and fdatasync of the database take a second
 * QASID_SYNCED_DIR    after each sync of a database file its bytes are copied there: what a power cut leaves
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_on(const char *name) {
  const char *file = getenv(name);
  return file && access(file, F_OK) == 0;
}

/* The last part of the path behind `fd` if it is the database or its log, or NULL. */
static const char *database(int fd, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, size - 1);
  if (length <= 0) return NULL;
  path[length] = 0;
  const char *name = strrchr(path, '/');
  if (!name || strncmp(name, "/relay.db", 9) != 0 || strstr(name, "-shm")) return NULL;
  return name;
}

static void copy_synced(int fd) {
  const char *target = getenv("QASID_SYNCED_DIR");
  char path[4096];
  const char *name = target ? database(fd, path, sizeof path) : NULL;
  if (!name) return;
  char part[4352], whole[4352];
  snprintf(whole, sizeof whole, "%s%s", target, name);
  snprintf(part, sizeof part, "%s%s.part", target, name);
  int in = open(path, O_RDONLY);
  int out = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  char block[65536];
  ssize_t got;
  ssize_t (*real_write)(int, const void *, size_t) =
      (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  while (in >= 0 && out >= 0 && (got = read(in, block, sizeof block)) > 0) {
    if (real_write(out, block, got) != got) break;
  }
  if (in >= 0) close(in);
  if (out >= 0) close(out);
  rename(part, whole);
}

static int sync_or_fail(const char *name, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  char path[4096];
  if (is_on("QASID_EIO_FILE")) {
    errno = EIO;
    return -1;
  }
  if (is_on("QASID_SLOW_FILE") && database(fd, path, sizeof path)) usleep(1000000);
  int result = real(fd);
  if (result == 0) copy_synced(fd);
  return result;
}

int fsync(int fd) { return sync_or_fail("fsync", fd); }
int fdatasync(int fd) { return sync_or_fail("fdatasync", fd); }

static int is_full(int fd) {
  char path[4096];
  if (!is_on("QASID_FULL_FILE") || !database(fd, path, sizeof path)) return 0;
  errno = ENOSPC;
  return 1;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  ssize_t (*real)(int, const void *, size_t) =
      (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  return is_full(fd) ? -1 : real(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
  ssize_t (*real)(int, const void *, size_t, off_t) =
      (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
  return is_full(fd) ? -1 : real(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
  ssize_t (*real)(int, const void *, size_t, off64_t) =
      (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
  return is_full(fd) ? -1 : real(fd, bytes, length, at);
}
