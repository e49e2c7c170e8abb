package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run makes a release, or two that have to be equal.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	commit := flags.String("commit", "HEAD", "what to release")
	into := flags.String("into", "dist", "the folder to write to; what is in it is replaced")
	twice := flags.String("twice", "", "compare with a second build, whose caches lie in this folder")
	of := flags.String("licences", "", "only write the licences of what this binary was linked from")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *of != "" {
		here := Release{Source: Source{Dir: "."}}
		parts, err := here.parts(ctx, *of)
		if err != nil {
			return err
		}
		_, err = out.Write(licences(parts))
		return err
	}
	r := Release{Repository: ".", Commit: *commit, Into: *into}
	if err := r.Make(ctx); err != nil {
		return err
	}
	if *twice != "" {
		return again(ctx, r, *twice, out)
	}
	_, err := fmt.Fprintf(out, "%s is in %s\n", r.Source.Version, *into)
	return err
}

// again makes the release a second time, with module and build caches of its own,
// and compares what came out.
func again(ctx context.Context, r Release, caches string, out io.Writer) error {
	caches, err := filepath.Abs(caches)
	if err != nil {
		return err
	}
	modules, err := output(ctx, ".", nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return err
	}
	second := Release{Repository: r.Repository, Commit: r.Source.Commit, Into: filepath.Join(caches, "dist"), Env: []string{
		"GOCACHE=" + filepath.Join(caches, "build"),
		// The underscore keeps ./... out of it: others' modules are no packages of ours.
		"GOPATH=" + filepath.Join(caches, "_path"),
		"GOMODCACHE=" + filepath.Join(caches, "_path", "modules"),
		// What the first build has fetched, go.sum vouches for; the network is not asked.
		"GOPROXY=file://" + filepath.Join(modules, "cache", "download"),
		"GOFLAGS=-modcacherw", "GONOSUMDB=*",
	}}
	if err := second.Make(ctx); err != nil {
		return fmt.Errorf("second build: %w", err)
	}
	a, err := os.ReadFile(filepath.Join(r.Into, sumsFile))
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(second.Into, sumsFile))
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return fmt.Errorf("two builds of %s differ:\n%s\n%s", r.Source.Commit, a, b)
	}
	_, err = fmt.Fprintf(out, "two builds of %s are equal:\n%s", r.Source.Version, a)
	return err
}

// output runs a program and returns what it wrote, without the last line feed.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	text, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return "", fmt.Errorf("%s %s: %w\n%s", name, args[0], err, exit.Stderr)
		}
		return "", fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return string(bytes.TrimRight(text, "\n")), nil
}
