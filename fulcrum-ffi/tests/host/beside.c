/* The static library beside a program's own SQLite and another library of Rust: no name of theirs may be in it twice. */
#include "fulcrum.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

const char *sqlite3_libversion(void) { return "the program's own"; }
void rust_eh_personality(void) {}
void *__rust_alloc(size_t size, size_t align) {
    (void)size;
    (void)align;
    return NULL;
}

int main(void) {
    if (strcmp(sqlite3_libversion(), "the program's own") != 0 || __rust_alloc(1, 1) != NULL) return 1;
    const char *config = "{\"ledger\": \":memory:\", \"providers\": [{\"sandbox\": {\"catalogue\": \"examples/catalogue\"}}]}";
    fulcrum_federation *federation = NULL;
    fulcrum_error *error = NULL;
    if (fulcrum_federation_open(config, strlen(config), NULL, 0, &federation, &error) != FULCRUM_OK) {
        fprintf(stderr, "%s\n", fulcrum_error_message(error));
        fulcrum_error_free(error);
        return 1;
    }
    fulcrum_federation_free(federation);
    puts(fulcrum_version());
    return 0;
}
