package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// part is a module that is linked into a binary, or Go itself.
type part struct {
	path, version string
	sum           string // as in go.sum; empty for Go itself
	spdx          string // the licence's name in the SPDX list
	text          []byte // licence and notice, as the module has them
}

// parts are the modules that the binary itself says it was linked from, with their
// licences, in the order of their paths.
func (r *Release) parts(ctx context.Context, binary string) ([]part, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read binary: %w", err)
	}
	folders, err := r.folders(ctx)
	if err != nil {
		return nil, err
	}
	var parts []part
	for _, m := range info.Deps {
		p, err := partOf(m, folders)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	root, err := output(ctx, r.Source.Dir, r.Env, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	std := part{path: "std", version: strings.TrimPrefix(info.GoVersion, "go")}
	if std.spdx, std.text, err = licence(root); err != nil {
		return nil, fmt.Errorf("the Go distribution: %w", err)
	}
	return append(parts, std), nil
}

func partOf(m *debug.Module, folders map[string]string) (part, error) {
	if m.Replace != nil {
		return part{}, fmt.Errorf("module %s is replaced; releases are made of what is published", m.Path)
	}
	p := part{path: m.Path, version: m.Version, sum: m.Sum}
	var err error
	if p.spdx, p.text, err = licence(folders[m.Path]); err != nil {
		return part{}, fmt.Errorf("module %s: %w", m.Path, err)
	}
	return p, nil
}

// folders is where the modules of the build lie.
func (r *Release) folders(ctx context.Context) (map[string]string, error) {
	text, err := output(ctx, r.Source.Dir, r.Env, "go", "list", "-m", "-json=Path,Dir", "all")
	if err != nil {
		return nil, err
	}
	folders := map[string]string{}
	for list := json.NewDecoder(strings.NewReader(text)); ; {
		var m struct{ Path, Dir string }
		switch err := list.Decode(&m); {
		case errors.Is(err, io.EOF):
			return folders, nil
		case err != nil:
			return nil, fmt.Errorf("list modules: %w", err)
		}
		folders[m.Path] = m.Dir
	}
}

// licence finds the files that tell a module's licence, and names it.
func licence(folder string) (spdx string, text []byte, err error) {
	if folder == "" {
		return "", nil, errors.New("it is not in the module cache")
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		return "", nil, err
	}
	var names []string
	for _, f := range files {
		if !f.IsDir() && tellsLicence(f) {
			names = append(names, f.Name())
		}
	}
	slices.Sort(names)
	var all []byte
	found := map[string]bool{}
	for _, name := range names {
		one, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return "", nil, err
		}
		for _, id := range classify(one) {
			found[id] = true
		}
		all = append(append(all, bytes.TrimSpace(bytes.ReplaceAll(one, []byte("\r\n"), []byte("\n")))...), "\n\n"...)
	}
	if len(found) == 0 {
		return "", nil, fmt.Errorf("no licence that we know in %q", names)
	}
	ids := make([]string, 0, len(found))
	for id := range found {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return strings.Join(ids, " AND "), all, nil
}

// tellsLicence tells whether a file's name is one that licences and notices have.
func tellsLicence(f fs.DirEntry) bool {
	name := strings.ToUpper(f.Name())
	for _, prefix := range []string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && !strings.HasSuffix(rest, ".GO") {
			return true
		}
	}
	return false
}

// marks are sentences that stand in one licence alone.
var marks = []struct{ spdx, sentence string }{
	{"Apache-2.0", "apache license version 2.0"},
	{"Apache-2.0", "apache license, version 2.0"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MPL-2.0", "mozilla public license, version 2.0"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"BSD-3-Clause", "neither the name of"},
	{"BSD-3-Clause", "may be used to endorse or promote products derived from this software"},
	{"BSD-2-Clause", "redistributions of source code must retain the above copyright notice"},
}

// classify names the licences that a text holds. A file that holds none, such as a
// notice, gives none.
func classify(text []byte) []string {
	plain := strings.ToLower(strings.Join(strings.Fields(string(text)), " "))
	var ids []string
	for _, m := range marks {
		if strings.Contains(plain, m.sentence) && !slices.Contains(ids, m.spdx) {
			ids = append(ids, m.spdx)
		}
	}
	if slices.Contains(ids, "BSD-3-Clause") { // which holds the two clauses too
		ids = slices.DeleteFunc(ids, func(id string) bool { return id == "BSD-2-Clause" })
	}
	return ids
}

// licences is one text with the licence of every part.
func licences(parts []part) []byte {
	var b bytes.Buffer
	b.WriteString("What this binary holds of others, each part under its own licence.\nIts source is the module of that path and version.\n")
	for _, p := range parts {
		fmt.Fprintf(&b, "\n%s\n%s %s\n%s\n%s\n\n%s", strings.Repeat("=", 78), p.path, p.version, p.spdx, strings.Repeat("=", 78), p.text)
	}
	return b.Bytes()
}
