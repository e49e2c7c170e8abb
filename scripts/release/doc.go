// Command release builds what is published of a commit: for each platform the
// static binary and an archive of it with the documents that belong to it, the list
// of its parts (CycloneDX 1.5), their licences, and the sums of all files.
//
//	go run ./scripts/release [-commit HEAD] [-into dist]
//	go run ./scripts/release -licences BINARY
//
// It needs Go and git alone. It builds from a clean clone of the commit, never from
// the working tree, and takes every time from the commit: two people who build one
// commit with one version of Go get equal files. "make reproduce" shows that, by
// building twice with nothing in common but the commit (-twice FOLDER, in which the
// second build has its caches).
//
// A module whose licence it does not know, a binary that is not static, and one of
// 25 MiB or more end it.
package main
