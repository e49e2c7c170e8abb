package config_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// root is the top of the repository.
const root = "../../"

func readRoot(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(root + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// filled replaces the placeholders in the order in which they stand.
func filled(t *testing.T, sample string, values ...string) string {
	t.Helper()
	for _, v := range values {
		if !strings.Contains(sample, "=ChangeMe") && !strings.Contains(sample, ": ChangeMe") {
			t.Fatalf("no placeholder is left for %s", v)
		}
		if i := strings.Index(sample, "=ChangeMe"); i >= 0 {
			sample = sample[:i+1] + v + sample[i+len("=ChangeMe"):]
			continue
		}
		i := strings.Index(sample, ": ChangeMe")
		sample = sample[:i+2] + `"` + v + `"` + sample[i+len(": ChangeMe"):]
	}
	if strings.Contains(sample, "=ChangeMe") || strings.Contains(sample, ": ChangeMe") {
		t.Fatalf("a placeholder is left:\n%s", sample)
	}
	return sample
}

var answers = []string{
	"https://opencti.example.org/", "t$ken#1", "7f2b7a4e-6d0b-4c52-9a55-0c1f6f6b2f11",
	"https://matrix.example.org", "@octi:example.org", "p$ssword",
}

func checkAnswers(t *testing.T, c *config.Config) {
	t.Helper()
	got := []string{
		string(c.OpenCTI.URL) + "/", c.OpenCTI.Token.Reveal(), string(c.Connector.ID),
		string(c.Matrix.Server), string(c.Matrix.UserID), c.Matrix.Password.Reveal(),
	}
	if !slices.Equal(got, answers) {
		t.Errorf("got %q, want %q", got, answers)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %v", c.Warnings)
	}
}

func TestTheSampleEnvironmentFilledInIsComplete(t *testing.T) {
	sample := readRoot(t, ".env.sample")
	checkAnswers(t, mustLoad(t, config.Input{Folders: []string{folder(t, ".env", filled(t, sample, answers...))}}))
	problems := problemsOf(t, config.Input{Folders: []string{folder(t, ".env", sample)}})
	if len(problems) != len(answers) {
		t.Errorf("the sample itself has the problems %v, want one for each placeholder", problems)
	}
	for _, p := range problems {
		if p.Wrong != "still says ChangeMe" {
			t.Errorf("problem %v", p)
		}
	}
	for _, name := range []string{"CONNECTOR_NAME", "CONNECTOR_SCOPE"} {
		if strings.Contains(sample, name+"=") {
			t.Errorf("%s belongs into docker-compose.yml", name)
		}
	}
}

func TestTheSampleOfYAMLFilledInIsComplete(t *testing.T) {
	sample := readRoot(t, "config.yml.sample")
	checkAnswers(t, mustLoad(t, config.Input{Folders: []string{folder(t, "config.yml", filled(t, sample, answers...))}}))
}

var now = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

func TestSamplesSayTheDefaults(t *testing.T) {
	want := mustLoad(t, config.Input{Environ: complete()})
	for name, c := range map[string]*config.Config{
		".env.sample":       mustLoad(t, config.Input{Folders: []string{folder(t, ".env", filled(t, readRoot(t, ".env.sample"), answers...))}}),
		"config.yml.sample": mustLoad(t, config.Input{Folders: []string{folder(t, "config.yml", filled(t, readRoot(t, "config.yml.sample"), answers...))}}),
	} {
		for _, pair := range [][2]any{
			{c.Matrix.TLP, want.Matrix.TLP},
			{c.Matrix.ImportStartDate, want.Matrix.ImportStartDate},
			{c.Matrix.DeviceName, want.Matrix.DeviceName},
			{c.Matrix.StorePath, want.Matrix.StorePath},
			{c.Matrix.AttachmentMaxSize, want.Matrix.AttachmentMaxSize},
			{c.Matrix.PermalinkBase, want.Matrix.PermalinkBase},
			{c.Connector.LogLevel, want.Connector.LogLevel},
			{c.Connector.Name, want.Connector.Name},
			{c.Connector.QueueThreshold, want.Connector.QueueThreshold},
			{c.OpenCTI.SSLVerify, want.OpenCTI.SSLVerify},
			{c.Connector.ConfidenceLevel, want.Connector.ConfidenceLevel},
		} {
			switch start := pair[0].(type) {
			case config.Start:
				a, _ := start.Since(now)
				b, _ := pair[1].(config.Start).Since(now)
				if !a.Equal(b) {
					t.Errorf("%s starts at %s, want %s", name, a, b)
				}
			default:
				if pair[0] != pair[1] {
					t.Errorf("%s says %v, the default is %v", name, pair[0], pair[1])
				}
			}
		}
	}
}

func TestComposeHasWhatTheEnvironmentFileLacks(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Environment []string
			EnvFile     string `yaml:"env_file"`
			Volumes     []string
			Restart     string
		}
	}
	if err := yaml.Unmarshal([]byte(readRoot(t, "docker-compose.yml")), &compose); err != nil {
		t.Fatal(err)
	}
	if len(compose.Services) != 1 {
		t.Fatalf("%d services, want 1", len(compose.Services))
	}
	for _, s := range compose.Services {
		if !slices.Equal(s.Environment, []string{"CONNECTOR_NAME=Matrix", "CONNECTOR_SCOPE=matrix"}) || s.EnvFile != ".env" || s.Restart != "always" {
			t.Errorf("service %+v", s)
		}
		if !slices.ContainsFunc(s.Volumes, func(v string) bool { return strings.HasSuffix(v, ":/opt/opencti-connector-matrix/store") }) {
			t.Errorf("volumes %v lack the store", s.Volumes)
		}
		// Compose hands the file on as environment.
		environ := append(slices.Clone(s.Environment), strings.Split(filled(t, readRoot(t, ".env.sample"), answers...), "\n")...)
		checkAnswers(t, mustLoad(t, config.Input{Environ: environ}))
	}
	if !slices.Contains(strings.Split(readRoot(t, ".gitignore"), "\n"), ".env") {
		t.Error(".gitignore does not cover .env")
	}
}
