package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// Source is a clean clone of one commit.
type Source struct {
	Dir       string
	Commit    string
	Committed time.Time // the time of everything that a release holds
	Version   string    // the nearest tag, what came since, the commit
}

// clone makes a clone of a repository at a commit in a new folder. Tags come along:
// the go command names the version by them.
func clone(ctx context.Context, repository, commit, dir string) (Source, error) {
	repository, err := filepath.Abs(repository)
	if err != nil {
		return Source{}, err
	}
	s := Source{Dir: dir}
	git := func(in string, args ...string) string {
		if err != nil {
			return ""
		}
		var text string
		text, err = output(ctx, in, nil, "git", args...)
		return text
	}
	s.Commit = git(repository, "rev-parse", "--verify", commit+"^{commit}")
	git(repository, "clone", "--quiet", "--shared", "--no-checkout", repository, dir)
	git(dir, "checkout", "--quiet", "--detach", s.Commit)
	when := git(dir, "show", "--no-patch", "--format=%cI", s.Commit)
	tag := git(dir, "describe", "--tags", "--always", "--abbrev=12", s.Commit)
	if err != nil {
		return Source{}, fmt.Errorf("clone %s: %w", commit, err)
	}
	if s.Committed, err = time.Parse(time.RFC3339, when); err != nil {
		return Source{}, fmt.Errorf("clone %s: %w", commit, err)
	}
	s.Committed = s.Committed.UTC()
	s.Version = tag
	return s, nil
}
