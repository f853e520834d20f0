/* Makes a machine fail: loaded before libc (LD_PRELOAD), it lets reads of some files fail as the kernel would, and the
 * clock jump.
 *
 * DISK_FAULTS names a file with a line "ERRNO OFFSET WORD". While it exists, reading at OFFSET or beyond it in a file
 * whose path holds WORD fails with ERRNO; with an OFFSET of 0, opening does. CLOCK_FAULTS names a file with the seconds
 * by which the clock is wrong while it exists.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define FILES 4096
static struct { int error; long offset; } faulty[FILES];

static int fault_of(const char *path, long *offset) {
    static int (*real)(const char *, int, ...);
    static ssize_t (*really_read)(int, void *, size_t);
    char text[512], word[256];
    int error = 0, file;
    ssize_t size;
    const char *control = getenv("DISK_FAULTS");
    if (!control || !path) return 0;
    if (!real) real = dlsym(RTLD_NEXT, "open");
    if (!really_read) really_read = dlsym(RTLD_NEXT, "read");
    if ((file = real(control, O_RDONLY)) < 0) return 0;
    size = really_read(file, text, sizeof text - 1);
    close(file);
    if (size <= 0) return 0;
    text[size] = 0;
    if (sscanf(text, "%d %ld %255s", &error, offset, word) != 3 || !strstr(path, word)) return 0;
    return error;
}

static int opened(int file, int error, long offset) {
    if (file >= 0 && file < FILES) { faulty[file].error = error; faulty[file].offset = offset; }
    return file;
}

#define OPEN(name, parameters, arguments)                                      \
    int name parameters {                                                      \
        static int (*real) parameters;                                         \
        int saved = errno, error;                                              \
        long offset = 0;                                                       \
        mode_t mode = 0;                                                       \
        va_list more;                                                          \
        va_start(more, flags);                                                 \
        if (flags & (O_CREAT | O_TMPFILE)) mode = va_arg(more, mode_t);        \
        va_end(more);                                                          \
        if (!real) real = dlsym(RTLD_NEXT, #name);                             \
        error = (flags & O_ACCMODE) == O_RDONLY ? fault_of(path, &offset) : 0; \
        if (error && offset == 0) { errno = error; return -1; }                \
        errno = saved;                                                         \
        return opened(real arguments, error, offset);                          \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPEN(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))

ssize_t read(int file, void *content, size_t size) {
    static ssize_t (*real)(int, void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "read");
    if (file >= 0 && file < FILES && faulty[file].error) {
        long left = faulty[file].offset - lseek(file, 0, SEEK_CUR);
        if (left <= 0) { errno = faulty[file].error; return -1; }
        if ((size_t)left < size) size = left;
    }
    return real(file, content, size);
}

int close(int file) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "close");
    if (file >= 0 && file < FILES) faulty[file].error = 0;
    return real(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    const char *control = getenv("CLOCK_FAULTS");
    char text[32];
    int result, file, size;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    result = real(clock, now);
    if (!control || clock != CLOCK_REALTIME || (file = open(control, O_RDONLY)) < 0) return result;
    size = read(file, text, sizeof text - 1);
    close(file);
    if (size > 0) { text[size] = 0; now->tv_sec += atol(text); }
    return result;
}
