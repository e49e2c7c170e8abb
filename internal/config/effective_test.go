package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

func TestEffectiveSettingsTellTheirSourceAndNoSecret(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "token")
	if err := os.WriteFile(secret, []byte("canary-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte("matrix:\n  tlp: RED\n  password: canary-password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Input{Folders: []string{dir}, Environ: []string{
		"MATRIX_SERVER=https://matrix.example.org", "MATRIX_USER_ID=@octi:example.org", "OPENCTI_URL=https://opencti.example.org/",
		"OPENCTI_TOKEN_FILE=" + secret, "CONNECTOR_ID=7f2b7a4e-6d0b-4c52-9a55-0c1f6f6b2f11", "HTTPS_PROXY=http://u:canary-proxy@proxy:3128",
		"MQ_USE_SSL_CA=-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]config.Setting{}
	var all strings.Builder
	for _, s := range c.Effective() {
		got[s.Variable] = s
		all.WriteString(s.Value + "\n")
	}
	if len(got) != len(config.Variables()) {
		t.Errorf("%d settings are listed, want all %d", len(got), len(config.Variables()))
	}
	for _, want := range []config.Setting{
		{Variable: "MATRIX_TLP", Key: "matrix.tlp", Value: "RED", Source: config.FromYAML},
		{Variable: "MATRIX_PASSWORD", Key: "matrix.password", Value: "[redacted]", Source: config.FromYAML},
		{Variable: "OPENCTI_TOKEN", Key: "opencti.token", Value: "[redacted]", Source: config.FromFile},
		{Variable: "OPENCTI_URL", Key: "opencti.url", Value: "https://opencti.example.org/", Source: config.FromEnvironment},
		{Variable: "MATRIX_STORE_KEY", Key: "matrix.store_key", Source: config.FromDefault},
		{Variable: "MATRIX_STORE_PATH", Key: "matrix.store_path", Value: "./store", Source: config.FromDefault},
		{Variable: "HTTPS_PROXY", Value: "[redacted]", Source: config.FromEnvironment},
		{Variable: "MQ_USE_SSL_CA", Key: "mq.use_ssl_ca", Value: "-----BEGIN CERTIFICATE----- …", Source: config.FromEnvironment},
	} {
		if diff := cmp.Diff(want, got[want.Variable]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Variable, diff)
		}
	}
	if strings.Contains(all.String(), "canary") {
		t.Errorf("a secret is shown:\n%s", all.String())
	}
}
