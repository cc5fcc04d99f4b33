/* SPDX-License-Identifier: BSD-2-Clause */
/* Run a fuzz target over the files of its corpus, without libFuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 65536u

static int
replay(const char *path)
{
	static uint8_t buf[INPUT_MAX];
	FILE *file = fopen(path, "rb");
	uint8_t *exact;
	size_t n;

	if (file == NULL) {
		perror(path);
		return 1;
	}
	n = fread(buf, 1, sizeof(buf), file);
	fclose(file);
	/* On the heap and of exact size, so that a sanitizer sees its end. */
	exact = malloc(n > 0 ? n : 1);
	if (exact == NULL)
		return 1;
	if (n > 0)
		memcpy(exact, buf, n);
	(void)LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	return 0;
}

int
main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;
		char path[4096];

		while (dir != NULL && (entry = readdir(dir)) != NULL) {
			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i],
			    entry->d_name);
			if (replay(path) == 0)
				passed++;
			else
				failed++;
		}
		if (dir == NULL)
			failed++;
		else
			closedir(dir);
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0 || passed == 0;
}
