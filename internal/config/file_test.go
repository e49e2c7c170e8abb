package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

func TestDotenv(t *testing.T) {
	minimal := "OPENCTI_URL=https://o.example\nOPENCTI_TOKEN=t\nCONNECTOR_ID=7f2b7a4e-6d0b-4c52-9a55-0c1f6f6b2f11\n" +
		"MATRIX_SERVER=example.org\nMATRIX_USER_ID=@octi:example.org\n"
	tests := map[string]struct{ line, want, wrong string }{
		"a plain value":                          {"MATRIX_PASSWORD=abc", "abc", ""},
		"a dollar and a hash stay what they are": {"MATRIX_PASSWORD=a$b#c", "a$b#c", ""},
		"a comment ends a plain value":           {"MATRIX_PASSWORD=abc # mine", "abc", ""},
		"single quotes are literal":              {`MATRIX_PASSWORD='a"$b\n #c' # mine`, `a"$b\n #c`, ""},
		"double quotes know escapes":             {`MATRIX_PASSWORD="a\"\\\$ #b"`, `a"\$ #b`, ""},
		"export and blanks are allowed":          {"  export MATRIX_PASSWORD = abc \r", "abc", ""},
		"the last of two lines holds":            {"MATRIX_PASSWORD=x\nMATRIX_PASSWORD=y", "y", ""},
		"an equals sign belongs to the value":    {"MATRIX_PASSWORD=a=b", "a=b", ""},
		"a line without a name":                  {"MATRIX_PASSWORD=p\n" + canary, "", "line 7 of .env is not NAME=value"},
		"an open quote":                          {"MATRIX_PASSWORD='" + canary, "", "MATRIX_PASSWORD has a quote that does not end on line 6 of .env"},
		"text after a quote":                     {"MATRIX_PASSWORD='a'" + canary, "", "MATRIX_PASSWORD has a quote that does not end on line 6 of .env"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			in := config.Input{Folders: []string{folder(t, ".env", "\ufeff"+minimal+test.line+"\n")}}
			if test.wrong != "" {
				if problems := problemsOf(t, in); !strings.Contains(problems.Error(), test.wrong) {
					t.Errorf("problems %v, want %s", problems, test.wrong)
				}
				return
			}
			if got := mustLoad(t, in).Matrix.Password.Reveal(); got != test.want {
				t.Errorf("password %q, want %q", got, test.want)
			}
		})
	}
}

func TestYAML(t *testing.T) {
	tests := map[string]struct{ text, wrong string }{
		"an empty file":                    {"", ""},
		"an empty section":                 {"matrix:\n", ""},
		"a known setting that is not read": {"connector:\n  duration_period: PT5M\n", ""},
		"a secret by its file's name":      {"mq:\n  pass_file: /nowhere\n", "MQ_PASS_FILE names a file that cannot be read"},
		"a comment's worth of tabs":        {"matrix:\n\ttlp: RED\n", "config.yml is not YAML (line 2)"},
		"an at sign without quotes":        {"matrix:\n  user_id: @octi:x\n", "config.yml is not YAML (line 2)"},
		"a room id without quotes":         {"matrix:\n  rooms:\n    - !abc:x\n", "has an unquoted !"},
		"one room id without quotes":       {"matrix:\n  rooms: !abc:x\n", "has an unquoted !"},
		"a list at the top":                {"- matrix\n", "the top of config.yml is not a mapping"},
		"a mapping for a value":            {"matrix:\n  tlp: {a: b}\n", "matrix.tlp in config.yml) holds a mapping"},
		"a mapping in a list":              {"matrix:\n  rooms_exclude: [{id: x}]\n", "holds more than a list of plain values"},
		"a section that is a value":        {"matrix: x\n", "matrix in config.yml is not a mapping"},
		"a key that stands twice":          {"matrix:\n  tlp: RED\n  tlp: GREEN\n", "stands twice, the second time in line 3"},
		"a key of another section":         {"opencti:\n  tlp: RED\n", "opencti.tlp in config.yml is no setting"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			problems := problemsOf(t, config.Input{Environ: complete(), Folders: []string{folder(t, "config.yml", test.text)}})
			if got := problems.Error(); test.wrong == "" && got != "" || !strings.Contains(got, test.wrong) {
				t.Errorf("problems %q, want %q", got, test.wrong)
			}
		})
	}
}

func TestAliasesListsAndBooleansInYAML(t *testing.T) {
	c := mustLoad(t, config.Input{Environ: complete(), Folders: []string{folder(t, "config.yml", `
matrix:
  invite_from: &who
    - "@alice:example.org"
    - "*:example.org"
  rooms: "#a:x, #b:x"
  debug: yes
  attachment_max_size: 10MiB
opencti:
  json_logging: "off"
connector:
  scope: [matrix, chat]
  confidence_level: 3
mq:
  use_ssl: on
  port: 5671
`)}})
	got := []string{
		strings.Join(c.Matrix.InviteFrom, "|"), strings.Join(c.Matrix.Rooms, "|"), c.Connector.Scope.String(),
	}
	want := []string{"@alice:example.org|*:example.org", "#a:x|#b:x", "matrix,chat"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
	if !c.Matrix.Debug || c.OpenCTI.JSONLogging || c.MQ.UseSSL == nil || !*c.MQ.UseSSL || c.MQ.Port != 5671 ||
		c.Connector.ConfidenceLevel.Level != 75 || c.Matrix.AttachmentMaxSize != 10<<20 {
		t.Errorf("got %+v", c)
	}
}

func TestAConfigThatCannotBeReadIsAProblem(t *testing.T) {
	dir := t.TempDir()
	if problems := problemsOf(t, config.Input{Environ: complete(), Folders: []string{folder(t, "config.yml", ""), dir}}); problems != nil {
		t.Errorf("problems %v", problems)
	}
	bad := folder(t)
	mkdir(t, bad+"/config.yml")
	if problems := problemsOf(t, config.Input{Environ: complete(), Folders: []string{bad}}); !strings.Contains(problems.Error(), "config.yml cannot be read: is a directory") {
		t.Errorf("problems %v", problems)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatGivesNothingIsTheOnlyProblem(t *testing.T) {
	for name, test := range map[string]struct{ file, text, want string }{
		"no YAML":     {"config.yml", "opencti:\n  url: [a\n", "config.yml is not YAML (line 1)"},
		"no mapping":  {"config.yml", "- a\n", "the top of config.yml is not a mapping"},
		"no settings": {".env", canary + "\n", "line 1 of .env is not NAME=value"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := problemsOf(t, config.Input{Folders: []string{folder(t, test.file, test.text)}}).Error(); got != test.want {
				t.Errorf("problems\n%s\nwant %s", got, test.want)
			}
		})
	}
}

func TestAMissingSettingIsToldBesideAMisspeltKey(t *testing.T) {
	in := config.Input{Folders: []string{folder(t, "config.yml", "opencti:\n  ulr: https://o.example\n")}}
	problems := problemsOf(t, in).Error()
	for _, want := range []string{"OPENCTI_URL (opencti.url in config.yml) is not set", "opencti.ulr in config.yml is no setting"} {
		if !strings.Contains(problems, want) {
			t.Errorf("problems lack %q: %s", want, problems)
		}
	}
}
