package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"time"
)

// entry is a file of an archive.
type entry struct {
	name string // below the archive's one folder
	mode int64
	text []byte
}

// pack makes a tar.gz of files below one folder. The same files give the same
// bytes: they are sorted, belong to nobody by name, and are of one time.
func pack(folder string, when time.Time, entries []entry) ([]byte, error) {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	var packed bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(zipped)
	for _, e := range entries {
		err := archive.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: folder + "/" + e.name, Mode: e.mode, Size: int64(len(e.text)),
			ModTime: when.UTC().Truncate(time.Second), Format: tar.FormatUSTAR,
		})
		if err == nil {
			_, err = archive.Write(e.text)
		}
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", e.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if err := zipped.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return packed.Bytes(), nil
}
