package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestAnArchiveIsTheSameWhateverTheOrderOfItsFiles(t *testing.T) {
	a := entry{name: "a", mode: 0o644, text: []byte("one")}
	b := entry{name: "b", mode: 0o755, text: []byte("two")}
	first, err := pack("p-1", noon, []entry{a, b})
	if err != nil {
		t.Fatal(err)
	}
	second, err := pack("p-1", noon.In(time.FixedZone("elsewhere", 3600)), []entry{b, a})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two archives of the same files differ")
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if !unzipped.ModTime.IsZero() || unzipped.Name != "" {
		t.Errorf("the archive tells when it was made, %s, or of what, %q", unzipped.ModTime, unzipped.Name)
	}
	var got []string
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(noon) {
			t.Errorf("%s: owner %d:%d %q:%q, time %s", h.Name, h.Uid, h.Gid, h.Uname, h.Gname, h.ModTime)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.Name, h.FileInfo().Mode().String(), string(text))
	}
	if diff := cmp.Diff([]string{"p-1/a", "-rw-r--r--", "one", "p-1/b", "-rwxr-xr-x", "two"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLicencesAreNamedByWhatTheySay(t *testing.T) {
	const (
		mit   = "Permission is hereby granted, free of charge, to any\nperson obtaining a copy"
		two   = "Redistributions of source code must retain the above copyright notice"
		three = two + ", list.\n * Neither the name of Google Inc."
	)
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"one licence":                            {map[string]string{"LICENSE": mit}, "MIT"},
		"three clauses are not two as well":      {map[string]string{"LICENSE.md": three}, "BSD-3-Clause"},
		"two clauses":                            {map[string]string{"COPYING": two}, "BSD-2-Clause"},
		"a notice beside the licence":            {map[string]string{"LICENSE": "Apache License\n  Version 2.0", "NOTICE": "by us"}, "Apache-2.0"},
		"two licences":                           {map[string]string{"LICENSE": mit + "\n Apache License, Version 2.0"}, "Apache-2.0 AND MIT"},
		"British spelling, and Mozilla's":        {map[string]string{"licence.txt": "Mozilla Public License Version 2.0"}, "MPL-2.0"},
		"a source file about licences is none":   {map[string]string{"license.go": mit}, ""},
		"a licence that nobody here has read":    {map[string]string{"LICENSE": "do what you want"}, ""},
		"a module without any file of that sort": {map[string]string{"README": mit}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for f, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, f), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, text, err := licence(dir)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
			for f, want := range c.files {
				if err == nil && !strings.Contains(string(text), want) {
					t.Errorf("the text lacks %s", f)
				}
			}
		})
	}
}

func TestABinaryThatIsNotAsPromisedIsRefused(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		other = elf.EM_X86_64
	}
	if err := check(self, platform{machine: other}); err == nil || !strings.Contains(err.Error(), "the binary is for") {
		t.Errorf("another machine: %v", err)
	}
}

func TestTheBillOfMaterialsIsThatOfTheBinary(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(binary, []byte("binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := Release{Source: Source{Version: "1.0.0", Commit: "abc", Committed: noon}}
	parts := []part{{path: "example.org/a b", version: "v1.2.3+x", sum: "h1:x", spdx: "MIT"}}
	text, err := r.bom(platforms[0], binary, parts)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.bom(platforms[0], binary, parts)
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("the second one differs, %v", err)
	}
	var got struct {
		SerialNumber string
		Metadata     struct {
			Timestamp string
			Component struct {
				Hashes []struct{ Alg, Content string }
			}
		}
		Components []struct{ PURL string }
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Metadata.Timestamp != "2026-01-02T12:00:00Z" || got.Components[0].PURL != "pkg:golang/example.org/a%20b@v1.2.3%2Bx" {
		t.Errorf("%+v", got)
	}
	// printf binary | sha256sum
	const sum = "9a3a45d01531a20e89ac6ae10b0b0beb0492acd7216a368aa062d1a5fecaf9cd"
	if h := got.Metadata.Component.Hashes; len(h) != 1 || h[0].Content != sum {
		t.Errorf("hashes: %+v", h)
	}
	if err := os.WriteFile(binary, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := r.bom(platforms[0], binary, parts)
	if err != nil || bytes.Contains(other, []byte(got.SerialNumber)) {
		t.Errorf("another binary has the same serial number, %v", err)
	}
}

// A release as a whole is made twice by "make reproduce", which takes its time.

// checkHere checks a binary that was built for this machine.
func checkHere(binary string) error {
	for _, p := range platforms {
		if p.arch == runtime.GOARCH {
			return check(binary, p)
		}
	}
	return nil
}

// What a binary says of itself, in each way in which it may come about.
func TestTheBinaryKnowsItsVersionWithAndWithoutGit(t *testing.T) {
	ctx := t.Context()
	repository := filepath.Join(t.TempDir(), "repository")
	source, err := clone(ctx, "../..", "HEAD", repository)
	if err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) {
		t.Helper()
		if _, err := output(ctx, repository, nil, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	git("tag", "--force", "v0.9.8")
	archive := filepath.Join(t.TempDir(), "archive")
	if err := os.Mkdir(archive, 0o755); err != nil {
		t.Fatal(err)
	}
	packed, err := exec.CommandContext(ctx, "git", "-C", repository, "archive", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	unpack := exec.CommandContext(ctx, "tar", "-x", "-C", archive)
	unpack.Stdin = bytes.NewReader(packed)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	commit := "commit: " + source.Commit + "\n"
	for _, c := range []struct {
		name, dir string
		flags     []string
		want      []string
	}{
		{"a checkout", repository, nil, []string{"matrix-connector v0.9.8 (go1.", commit, "modified: false\n"}},
		{"an archive", archive, nil, []string{"matrix-connector v0.9.8 (go1.", commit, "modified: false\n"}},
		{
			"told by the linker", archive,
			[]string{"-ldflags=-X '" + modulePath + "/internal/cli.Stamp=v1 abc 2026-01-02T12:00:00Z'"},
			[]string{"matrix-connector v1 (go1.", "commit: abc\n", "committed: 2026-01-02T12:00:00Z\n"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), program)
			args := append([]string{"build", "-trimpath", "-buildvcs=auto", "-tags=goolm", "-o", binary}, c.flags...)
			if _, err := output(t.Context(), c.dir, []string{"GOFLAGS=", "CGO_ENABLED=0", "GOWORK=off"}, "go", append(args, "./cmd/"+program)...); err != nil {
				t.Fatal(err)
			}
			if err := checkHere(binary); err == nil || !strings.Contains(err.Error(), "is not stripped") {
				t.Errorf("a binary with symbols passes: %v", err)
			}
			out, err := output(t.Context(), "/", nil, binary, "version")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(out+"\n", want) {
					t.Errorf("version lacks %q:\n%s", want, out)
				}
			}
		})
	}
}
