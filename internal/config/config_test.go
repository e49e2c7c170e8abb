package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// canary is a secret that must never be shown.
const canary = "canary-9d1f"

// complete is an environment in which nothing is missing.
func complete(more ...string) []string {
	return append([]string{
		"OPENCTI_URL=https://opencti.example.org",
		"OPENCTI_TOKEN=" + canary,
		"CONNECTOR_ID=7f2b7a4e-6d0b-4c52-9a55-0c1f6f6b2f11",
		"MATRIX_SERVER=https://matrix.example.org",
		"MATRIX_USER_ID=@octi:example.org",
		"MATRIX_PASSWORD=" + canary,
	}, more...)
}

// folder makes a folder that holds the files, given as name, text, name, text.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mustLoad(t *testing.T, in config.Input) *config.Config {
	t.Helper()
	c, err := config.Load(in)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return c
}

func problemsOf(t *testing.T, in config.Input) config.Problems {
	t.Helper()
	_, err := config.Load(in)
	problems, ok := errors.AsType[config.Problems](err)
	if err != nil && !ok {
		t.Fatalf("error is a %T, want Problems", err)
	}
	for _, p := range problems {
		if strings.Contains(p.Error()+p.Cure, canary) {
			t.Errorf("a secret is shown: %s", p.Error())
		}
		if p.Cure == "" || p.Wrong == "" {
			t.Errorf("a problem without wrong or cure: %+v", p)
		}
	}
	return problems
}

func TestDefaultsHoldWhereNothingIsSet(t *testing.T) {
	c := mustLoad(t, config.Input{Environ: complete()})
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	since, history := c.Matrix.ImportStartDate.Since(now)
	got := []any{
		c.Connector.Name, c.Connector.Scope.String(), c.Connector.Type, c.Connector.LogLevel.Level(), c.Connector.ConfidenceLevel.Set,
		c.Connector.QueueThreshold, c.OpenCTI.SSLVerify, c.OpenCTI.JSONLogging, c.Matrix.DeviceName, c.Matrix.StorePath, c.Matrix.TLP,
		since, history, len(c.Matrix.InviteFrom), len(c.Matrix.Rooms), c.Matrix.AttachmentMaxSize, c.Matrix.AutoImportFiles,
		c.Matrix.PermalinkBase, c.Matrix.Debug, c.MQ.UseSSL == nil, c.MQ.SSLRejectUnauthorized, c.Source("MATRIX_TLP"), c.Warnings,
	}
	want := []any{
		config.ConnectorName("Matrix"), "matrix", config.ConnectorType("EXTERNAL_IMPORT"), slog.LevelInfo, false, 500,
		config.Verify{},
		true, "octi_bot", "./store", config.TLPAmber,
		now.AddDate(0, 0, -30), true, 0, 0, config.Bytes(100 << 20), false,
		config.Permalink("https://matrix.to/#/"), false, true, true, config.FromDefault, []config.Warning(nil),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPrecedence(t *testing.T) {
	yml := "matrix:\n  tlp: RED\n  device_name: from yaml\n  rooms: ['#a:x.org', \"!b:x.org\"]\n  password: " + canary + "\n"
	env := "MATRIX_TLP=GREEN\nMATRIX_DEVICE_NAME=from dotenv\n"
	bare := slices.DeleteFunc(complete(), func(s string) bool { return strings.HasPrefix(s, "MATRIX_PASSWORD") })
	tests := map[string]struct {
		in     config.Input
		tlp    config.TLP
		from   config.Source
		device string
		warn   string
	}{
		"config.yml wins over the default": {
			config.Input{Environ: bare, Folders: []string{folder(t, "config.yml", yml)}}, "RED", config.FromYAML, "from yaml", "",
		},
		"the environment wins over config.yml": {
			config.Input{Environ: slices.Concat(bare, []string{"MATRIX_TLP=clear"}), Folders: []string{folder(t, "config.yml", yml)}},
			"CLEAR", config.FromEnvironment, "from yaml", "",
		},
		"an empty variable means the default, and says that it hides a value": {
			config.Input{Environ: slices.Concat(bare, []string{"MATRIX_TLP="}), Folders: []string{folder(t, "config.yml", yml)}},
			"AMBER", config.FromDefault, "from yaml", "hides the value in config.yml",
		},
		".env is read where there is no config.yml": {
			config.Input{Environ: complete(), Folders: []string{folder(t), folder(t, ".env", env)}}, "GREEN", config.FromDotenv, "from dotenv", "",
		},
		".env is not read beside config.yml": {
			config.Input{Environ: bare, Folders: []string{folder(t, ".env", env, "config.yml", yml)}}, "RED", config.FromYAML, "from yaml", "",
		},
		"the environment wins over .env": {
			config.Input{Environ: complete("MATRIX_TLP=RED"), Folders: []string{folder(t, ".env", env)}},
			"RED", config.FromEnvironment, "from dotenv", "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := mustLoad(t, test.in)
			if c.Matrix.TLP != test.tlp || c.Source("MATRIX_TLP") != test.from || c.Matrix.DeviceName != test.device {
				t.Errorf("got %s from %s, device %q", c.Matrix.TLP, c.Source("MATRIX_TLP"), c.Matrix.DeviceName)
			}
			if warned := len(c.Warnings) > 0; warned != (test.warn != "") || warned && !strings.Contains(c.Warnings[0].String(), test.warn) {
				t.Errorf("warnings %v, want %q", c.Warnings, test.warn)
			}
		})
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	problems := problemsOf(t, config.Input{
		Environ: []string{
			"OPENCTI_TOKEN=ChangeMe", "OPENCTI_URL=https://me:" + canary + "@opencti.example.org", "CONNECTOR_ID=one_two",
			"MATRIX_USER_ID=octi", "MATRIX_TLP=PURPLE", "MATRIX_ATTACHMENT_MAX_SIZE=much", "MATRIX_PASSWORD_FILE=/nowhere/" + canary,
			"MQ_PORT=99999",
		},
		Folders: []string{folder(t, "config.yml", "matrix:\n  device: x\n  tpl: RED\nmatirx: {}\n")},
	})
	var got []string
	for _, p := range problems {
		got = append(got, p.Error())
	}
	want := []string{
		`OPENCTI_URL (opencti.url in config.yml) has a user or password in it: "https://me:xxxxx@opencti.example.org", from environment`,
		`OPENCTI_TOKEN (opencti.token in config.yml) still says ChangeMe: from environment`,
		`CONNECTOR_ID (connector.id in config.yml) is no UUID: "one_two", from environment`,
		`MATRIX_SERVER (matrix.server in config.yml) is not set`,
		`MATRIX_USER_ID (matrix.user_id in config.yml) is no full Matrix id: "octi", from environment`,
		`MATRIX_PASSWORD_FILE names a file that cannot be read (no such file or directory): 20 characters, from environment`,
		`MATRIX_TLP (matrix.tlp in config.yml) is no TLP level: "PURPLE", from environment`,
		`MATRIX_ATTACHMENT_MAX_SIZE (matrix.attachment_max_size in config.yml) is no size: "much", from environment`,
		`MQ_PORT (mq.port in config.yml) is no number that it can be: "99999", from environment`,
		`matrix.device in config.yml is no setting`,
		`matrix.tpl in config.yml is no setting`,
		`matirx in config.yml is no setting`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if last := problems[len(problems)-1].Cure; last != "did you mean matrix?" {
		t.Errorf("cure of matirx: %q", last)
	}
	if cure := problems[len(problems)-2].Cure; cure != "did you mean matrix.tlp?" {
		t.Errorf("cure of matrix.tpl: %q", cure)
	}
}

func TestCredentials(t *testing.T) {
	base := slices.DeleteFunc(complete(), func(s string) bool { return strings.HasPrefix(s, "MATRIX_PASSWORD") })
	secret := filepath.Join(folder(t, "secret", "  "+canary+"\n"), "secret")
	empty := filepath.Join(folder(t, "secret", "\n"), "secret")
	tests := map[string]struct {
		environ  []string
		wrong    string
		password string
		token    string
	}{
		"a password is enough":              {[]string{"MATRIX_PASSWORD=p"}, "", "p", ""},
		"a token is enough":                 {[]string{"MATRIX_ACCESS_TOKEN=t"}, "", "", "t"},
		"a file holds the password":         {[]string{"MATRIX_PASSWORD_FILE=" + secret}, "", canary, ""},
		"an empty variable beside its file": {[]string{"MATRIX_PASSWORD=", "MATRIX_PASSWORD_FILE=" + secret}, "", canary, ""},
		"neither, after a login":            {nil, "", "", ""},
		"both":                              {[]string{"MATRIX_PASSWORD=p", "MATRIX_ACCESS_TOKEN=t"}, "and MATRIX_ACCESS_TOKEN are both set", "", ""},
		"password and its file":             {[]string{"MATRIX_PASSWORD=p", "MATRIX_PASSWORD_FILE=" + secret}, "and MATRIX_PASSWORD_FILE are both set", "", ""},
		"an empty file":                     {[]string{"MATRIX_PASSWORD_FILE=" + empty}, "names an empty file", "", ""},
		"a placeholder is no password":      {[]string{"MATRIX_PASSWORD=changeme"}, "still says ChangeMe", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			in := config.Input{Environ: append(slices.Clone(base), test.environ...)}
			problems := problemsOf(t, in)
			if test.wrong != "" {
				if len(problems) != 1 || problems[0].Wrong != test.wrong {
					t.Fatalf("problems %v, want one: %s", problems, test.wrong)
				}
				return
			}
			c := mustLoad(t, in)
			if c.Matrix.Password.Reveal() != test.password || c.Matrix.AccessToken.Reveal() != test.token {
				t.Error("password or token is not what was set")
			}
		})
	}
}

func TestNothingAboutThePlatformMattersToAnExport(t *testing.T) {
	c := mustLoad(t, config.Input{Purpose: config.ForDirectory, Environ: []string{
		"OPENCTI_URL=ChangeMe", "OPENCTI_TOKEN=ChangeMe", "CONNECTOR_ID=ChangeMe", "MQ_PORT=x",
		"MATRIX_SERVER=example.org", "MATRIX_USER_ID=@octi:example.org", "MATRIX_PASSWORD=p",
	}})
	if c.Matrix.Server != "example.org" || c.Matrix.Server.IsURL() {
		t.Errorf("server %q", c.Matrix.Server)
	}
	if problems := problemsOf(t, config.Input{Purpose: config.ForDirectory}); len(problems) != 4 {
		t.Errorf("an export without settings has the problems %v, want server, user, password, and that there is no file", problems)
	}
}

func TestUnknownVariablesAreWarnedOf(t *testing.T) {
	c := mustLoad(t, config.Input{Environ: complete(
		"MATRIX_USERID=x", "CONNECTOR_DURATION_PERIOD=PT5M", "MQ_PASSWORD="+canary, "MATRIX_INVITE_FROM=*:*", "PATH=/bin", "OPENCTI_SSL_VERIFY=no", "MATRIX_STORE_KEY=guess me",
	)})
	var got []string
	for _, w := range c.Warnings {
		got = append(got, w.String())
	}
	want := []string{
		"CONNECTOR_DURATION_PERIOD has no effect: the connector reads as messages come",
		"MATRIX_USERID is no setting of this connector; did you mean MATRIX_USER_ID?",
		"MQ_PASSWORD is no setting of this connector; did you mean MQ_PASS?",
		"MATRIX_INVITE_FROM lets everybody invite the bot",
		"MATRIX_STORE_KEY has only 8 characters and may be guessed from a stolen disk; it can be changed before the first start alone",
		"OPENCTI_SSL_VERIFY is off: anybody between here and the platform can read the token",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSecretsAreShownToNobody(t *testing.T) {
	c := mustLoad(t, config.Input{Environ: complete("HTTPS_PROXY=http://u:" + canary + "@proxy:3128")})
	hidden := struct{ inner config.Secret }{c.Matrix.Password}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	yml, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("settings", slog.Any("config", c), slog.Any("secret", c.OpenCTI.Token))
	for _, s := range []string{
		fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", *c), fmt.Sprintf("%q %x %d %s", c.OpenCTI.Token, c.OpenCTI.Token, c.OpenCTI.Token, c.OpenCTI.Token),
		fmt.Sprintf("%v %+v %#v", hidden, hidden, hidden), string(text), string(yml), log.String(), c.OpenCTI.Token.String(), c.OpenCTI.Token.GoString(),
	} {
		if strings.Contains(s, canary) || strings.Contains(s, fmt.Sprintf("%x", canary)) {
			t.Errorf("a secret is shown: %s", s)
		}
	}
	if !strings.Contains(string(text), `"Password":"[redacted]"`) {
		t.Errorf("JSON shows no redaction: %s", text)
	}
	if c.Matrix.Password.Reveal() != canary || c.Network.HTTPSProxy.Reveal() == "" {
		t.Error("a secret was not read")
	}
	if got := c.Secrets(); !slices.Equal(got, []string{canary, canary, "http://u:" + canary + "@proxy:3128"}) {
		t.Errorf("%d secrets, want token, password and proxy", len(got))
	}
	for _, name := range []string{"MATRIX_PASSWORD", "MATRIX_ACCESS_TOKEN", "MATRIX_STORE_KEY", "OPENCTI_TOKEN", "MQ_PASS"} {
		if !slices.Contains(config.SecretVariables(), name) {
			t.Errorf("%s is not among the secret variables", name)
		}
	}
}
