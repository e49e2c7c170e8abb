package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/store"
)

// crashFolder tells the test binary that it is the process to be killed.
const crashFolder = "STORE_TEST_CRASH_FOLDER"

// writeUntilKilled commits pairs of rows and spool files for ever, and says so after
// each commit.
func writeUntilKilled(ctx context.Context, folder string) error {
	s, err := store.Open(ctx, store.Config{Path: folder})
	if err != nil {
		return err
	}
	if _, err := s.Lock("DEVICE"); err != nil {
		return err
	}
	if _, err := s.DB().Exec(ctx, `CREATE TABLE IF NOT EXISTS pair (n INTEGER NOT NULL, half TEXT NOT NULL, spool TEXT NOT NULL, PRIMARY KEY (n, half)) STRICT`); err != nil {
		return err
	}
	var n int
	if err := s.DB().QueryRow(ctx, "SELECT coalesce(max(n), 0) FROM pair").Scan(&n); err != nil {
		return err
	}
	for {
		n++
		e, err := s.Spool().Create()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprint(e, n); err != nil {
			return err
		}
		name, err := e.Commit()
		if err != nil {
			return err
		}
		err = s.Do(ctx, func(ctx context.Context) error {
			for _, half := range []string{"left", "right"} {
				if _, err := s.DB().Exec(ctx, "INSERT INTO pair VALUES (?, ?, ?)", n, half, name); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Println(n) //nolint:forbidigo // to the parent
	}
}

func TestWhatWasCommittedSurvivesKill9(t *testing.T) {
	if folder := os.Getenv(crashFolder); folder != "" { //nolint:forbidigo // set by this test for its own child
		t.Fatal(writeUntilKilled(t.Context(), folder))
	}
	folder := t.TempDir()
	last := 0
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestWhatWasCommittedSurvivesKill9$")
		cmd.Env = append(os.Environ(), crashFolder+"="+folder)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for want := last + 3 + 7*round; last < want && lines.Scan(); {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("the writer says %q", lines.Text())
			}
			last = n
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it still said before it died counts, too
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				last = n
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the writer ended with %v", err)
		}
		checkPairs(t, folder, last)
	}
}

// checkPairs looks at what the killed process left: every commit it announced, no half
// of one, and every file that a row names.
func checkPairs(t *testing.T, folder string, announced int) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	release, err := s.Lock("DEVICE")
	if err != nil {
		t.Fatalf("the dead process holds the lock: %v", err)
	}
	defer func() { _ = release() }()
	var ok string
	if err := s.DB().QueryRow(t.Context(), "PRAGMA integrity_check").Scan(&ok); err != nil || ok != "ok" {
		t.Fatalf("integrity: %s, %v", ok, err)
	}
	var pairs, halves, highest int
	if err := s.DB().QueryRow(t.Context(), "SELECT count(DISTINCT n), count(*), max(n) FROM pair").Scan(&pairs, &halves, &highest); err != nil {
		t.Fatal(err)
	}
	if highest < announced || pairs != highest || halves != 2*pairs {
		t.Errorf("announced %d, found %d pairs of %d halves up to %d", announced, pairs, halves, highest)
	}
	names := map[string]int{}
	rows, err := s.DB().Query(t.Context(), "SELECT DISTINCT spool, n FROM pair")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		names[name] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Spool().Sweep(func(name string) bool { return names[name] != 0 }); err != nil {
		t.Fatal(err)
	}
	for name, n := range names {
		f, err := s.Spool().Open(name)
		if err != nil {
			t.Errorf("a row names a file that is gone: %v", err)
			continue
		}
		text, err := io.ReadAll(f)
		if err != nil || string(text) != strconv.Itoa(n) {
			t.Errorf("file of pair %d holds %q, %v", n, text, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	left, err := os.ReadDir(filepath.Join(folder, "spool"))
	if err != nil || len(left) != len(names) {
		t.Errorf("%d files in the spool, %d are named (%v)", len(left), len(names), err)
	}
}
