package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// program is the name of the binary.
const program = "matrix-connector"

// sumsFile lists the SHA-256 of every file beside it, as sha256sum(1) does.
const sumsFile = "SHA256SUMS"

// Release is what is published of a commit.
type Release struct {
	Repository string // a folder with a git repository
	Commit     string
	Into       string   // written anew
	Env        []string // for the go command, beside the process's own

	Source Source // filled by Make
}

// document is a file of the repository that goes into each archive.
type document struct{ from, to string }

var documents = []document{
	{"LICENSE", "LICENSE"},
	{"NOTICE", "NOTICE"},
	{"README.md", "README.md"},
	{"CHANGELOG.md", "CHANGELOG.md"},
	{".env.sample", "env.sample"},
	{"config.yml.sample", "config.yml.sample"},
	{"docs/operations.md", "docs/operations.md"},
	{"docs/metrics.md", "docs/metrics.md"},
	{"deploy/prometheus/alerts.yml", "deploy/prometheus/alerts.yml"},
	{"deploy/grafana/matrix-connector.json", "deploy/grafana/matrix-connector.json"},
	{"deploy/kubernetes/matrix-connector.yaml", "deploy/kubernetes/matrix-connector.yaml"},
	{"deploy/systemd/matrix-connector.service", "matrix-connector.service"},
}

// Make builds and writes everything, or nothing: an error leaves no folder behind.
func (r *Release) Make(ctx context.Context) (err error) {
	if err := os.RemoveAll(r.Into); err != nil {
		return err
	}
	if err := os.MkdirAll(r.Into, 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(r.Into)
		}
	}()
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if r.Source, err = clone(ctx, r.Repository, r.Commit, filepath.Join(work, "source")); err != nil {
		return err
	}
	for _, p := range platforms {
		if err := r.platform(ctx, p); err != nil {
			return fmt.Errorf("%s/%s: %w", p.os, p.arch, err)
		}
	}
	return r.sums()
}

// platform writes the files of one platform.
func (r *Release) platform(ctx context.Context, p platform) error {
	name := strings.Join([]string{program, r.Source.Version, p.os, p.arch}, "_")
	binary := filepath.Join(r.Into, name)
	if err := r.build(ctx, p, binary); err != nil {
		return err
	}
	if err := check(binary, p); err != nil {
		return err
	}
	parts, err := r.parts(ctx, binary)
	if err != nil {
		return err
	}
	bom, err := r.bom(p, binary, parts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(binary+".cdx.json", bom, 0o644); err != nil {
		return err
	}
	return r.archive(binary, parts, bom)
}

// archive writes the archive of a binary.
func (r *Release) archive(binary string, parts []part, bom []byte) error {
	text, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	entries := []entry{
		{name: program, mode: 0o755, text: text},
		{name: "THIRD-PARTY-LICENCES.txt", mode: 0o644, text: licences(parts)},
		{name: program + ".cdx.json", mode: 0o644, text: bom},
	}
	for _, d := range documents {
		text, err := os.ReadFile(filepath.Join(r.Source.Dir, d.from))
		if err != nil {
			return err
		}
		entries = append(entries, entry{name: d.to, mode: 0o644, text: text})
	}
	packed, err := pack(strings.Join([]string{program, r.Source.Version}, "-"), r.Source.Committed, entries)
	if err != nil {
		return err
	}
	return os.WriteFile(binary+".tar.gz", packed, 0o644)
}

// sums writes the sums of all files.
func (r *Release) sums() error {
	found, err := os.ReadDir(r.Into)
	if err != nil {
		return err
	}
	var lines []string
	for _, f := range found {
		text, err := os.ReadFile(filepath.Join(r.Into, f.Name()))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		lines = append(lines, hex.EncodeToString(sum[:])+"  "+f.Name()+"\n")
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	return os.WriteFile(filepath.Join(r.Into, sumsFile), []byte(strings.Join(lines, "")), 0o644)
}
