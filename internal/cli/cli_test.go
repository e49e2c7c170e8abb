package cli_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/matrix-connector/matrix-connector/internal/cli"
	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"matrix-connector": func() {
			os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Environ(), os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

func TestScripts(t *testing.T) {
	pages, err := filepath.Abs("help")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PAGES", pages)
			e.Values[serverKey] = new(*matrixtest.Server)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "homeserver": homeserver, "signed": signed},
	})
}

// exits checks the exit code of the program: "exits CODE ARGS…".
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg {
		ts.Fatalf("usage: exits CODE ARGS…")
	}
	err = ts.Exec("matrix-connector", args[1:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("run: %v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func TestHelpNamesSettingsThatExist(t *testing.T) {
	pages, err := filepath.Glob("help/*.txt")
	if err != nil || len(pages) == 0 {
		t.Fatalf("pages %v, %v", pages, err)
	}
	known := config.Variables()
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\b(?:MATRIX|OPENCTI|CONNECTOR|MQ)_[A-Z_]+`).FindAllString(string(text), -1) {
			if !slices.Contains(known, strings.TrimSuffix(name, "_FILE")) {
				t.Errorf("%s names %s, which is no setting", page, name)
			}
		}
		for line := range strings.Lines(string(text)) {
			if len(strings.TrimRight(line, "\n")) > 90 {
				t.Errorf("%s: a line is longer than a terminal: %s", page, line)
			}
		}
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Chdir(t.TempDir())
	var out, err strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code := cli.Main(ctx, []string{"export", "--output", "out"}, []string{
		"MATRIX_SERVER=http://127.0.0.1:1", "MATRIX_USER_ID=@octi:example.org", "MATRIX_PASSWORD=canary-password", "MATRIX_TPL=RED",
	}, strings.NewReader(""), &out, &err)
	if code == 2 {
		t.Errorf("exit code %d: %s", code, err.String())
	}
	if strings.Contains(out.String()+err.String(), "canary") {
		t.Errorf("a secret is shown: %s", err.String())
	}
	if want := `"setting":"MATRIX_TPL","problem":"is no setting of this connector; did you mean MATRIX_TLP?"`; !strings.Contains(err.String(), want) {
		t.Errorf("no warning of MATRIX_TPL in %s", err.String())
	}
}

func TestSecretsLeaveTheEnvironment(t *testing.T) {
	t.Setenv("MATRIX_PASSWORD", "canary")
	t.Setenv("MATRIX_TLP", "RED")
	environ := cli.Environ()
	if !slices.Contains(environ, "MATRIX_PASSWORD=canary") || !slices.Contains(environ, "MATRIX_TLP=RED") {
		t.Error("the environment lacks what was set")
	}
	if _, there := os.LookupEnv("MATRIX_PASSWORD"); there {
		t.Error("the password is still in the environment of the process")
	}
	if os.Getenv("MATRIX_TLP") != "RED" {
		t.Error("what is no secret is gone")
	}
}
