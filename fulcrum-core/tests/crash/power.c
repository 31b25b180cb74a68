/* Loaded before a process: keeps what it has synchronised of the files whose path begins with FULCRUM_POWER_FILE, each as a
 * copy in FULCRUM_POWER_KEPT. That is what is left of them when the power fails. With FULCRUM_POWER_IGNORE nothing is ever
 * synchronised. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void copy(const char *from, const char *to) {
    char next[4200], bytes[65536];
    snprintf(next, sizeof next, "%s.next", to);
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t count = 0;
    while (in >= 0 && out >= 0 && (count = read(in, bytes, sizeof bytes)) > 0)
        if (write(out, bytes, (size_t)count) != count) abort();
    if (in < 0 || out < 0 || count < 0) abort();
    close(in);
    close(out);
    if (rename(next, to) != 0) abort();
}

/* Where the copy of a file stands; whether it has one at all. */
static int place(const char *path, char *to, size_t size) {
    const char *file = getenv("FULCRUM_POWER_FILE"), *kept = getenv("FULCRUM_POWER_KEPT");
    if (file == NULL || kept == NULL || strncmp(path, file, strlen(file)) != 0) return 0;
    snprintf(to, size, "%s/%s", kept, strrchr(path, '/') + 1);
    return 1;
}

static void keep(int fd) {
    char link[64], path[4096], to[4100];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    if (!place(path, to, sizeof to)) return;
    pthread_mutex_lock(&lock);
    copy(path, to);
    pthread_mutex_unlock(&lock);
}

static int synchronise(int fd, const char *name) {
    if (getenv("FULCRUM_POWER_IGNORE") != NULL) return 0;
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int answer = real(fd);
    if (answer == 0) keep(fd);
    return answer;
}

int fsync(int fd) { return synchronise(fd, "fsync"); }
int fdatasync(int fd) { return synchronise(fd, "fdatasync"); }

/* Who removes a file synchronises its folder where that matters. */
int unlink(const char *path) {
    char to[4100];
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    int answer = real(path);
    if (answer == 0 && place(path, to, sizeof to)) real(to);
    return answer;
}
