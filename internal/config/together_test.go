package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

func TestWhatIsOfUseOnlyTogetherIsGivenTogether(t *testing.T) {
	tests := map[string]struct {
		environ []string
		purpose config.Purpose
		want    []string
	}{
		"certificate and key": {environ: []string{
			"OPENCTI_CLIENT_CERT=/c", "OPENCTI_CLIENT_KEY=/k", "MATRIX_CLIENT_CERT=/c", "MATRIX_CLIENT_KEY=/k",
			"MQ_USE_SSL_CERT=/c", "MQ_USE_SSL_KEY=/k", "MQ_USE_SSL_PASSPHRASE=" + canary,
		}},
		"certificates without keys": {
			environ: []string{"OPENCTI_CLIENT_CERT=/c", "MATRIX_CLIENT_CERT=/c", "MQ_USE_SSL_CERT=/c"},
			want: []string{
				"MATRIX_CLIENT_CERT (matrix.client_cert in config.yml) is set, but MATRIX_CLIENT_KEY is not: from environment",
				"OPENCTI_CLIENT_CERT (opencti.client_cert in config.yml) is set, but OPENCTI_CLIENT_KEY is not: from environment",
				"MQ_USE_SSL_CERT (mq.use_ssl_cert in config.yml) is set, but MQ_USE_SSL_KEY is not: from environment",
			},
		},
		"a key without its certificate": {
			environ: []string{"OPENCTI_CLIENT_KEY=" + canary},
			want:    []string{"OPENCTI_CLIENT_KEY (opencti.client_key in config.yml) is set, but OPENCTI_CLIENT_CERT is not: from environment"},
		},
		"a passphrase without a key": {
			environ: []string{"MQ_USE_SSL_PASSPHRASE=" + canary},
			want:    []string{"MQ_USE_SSL_PASSPHRASE (mq.use_ssl_passphrase in config.yml) is set, but MQ_USE_SSL_KEY is not: from environment"},
		},
		"an export has no broker and no platform": {
			environ: []string{"MQ_USE_SSL_PASSPHRASE=" + canary, "OPENCTI_CLIENT_CERT=/c"}, purpose: config.ForDirectory,
		},
		"a key whose file cannot be read is told once": {
			environ: []string{"MATRIX_CLIENT_CERT=/c", "MATRIX_CLIENT_KEY_FILE=/nowhere"},
			want:    []string{"MATRIX_CLIENT_KEY_FILE names a file that cannot be read (no such file or directory): 8 characters, from environment"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range problemsOf(t, config.Input{Environ: complete(test.environ...), Purpose: test.purpose}) {
				got = append(got, p.Error())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestThePolicyForRedactionsIsOneOfThree(t *testing.T) {
	c := mustLoad(t, config.Input{Environ: complete("MATRIX_REDACTIONS=delete", "QUEUE_PROTOCOL=api")})
	if c.Matrix.Redactions != config.RedactionsDelete || c.Connector.QueueProtocol != config.QueueAPI {
		t.Errorf("redactions %s, queue protocol %s", c.Matrix.Redactions, c.Connector.QueueProtocol)
	}
	problems := problemsOf(t, config.Input{Environ: complete("MATRIX_REDACTIONS=forget")})
	if len(problems) != 1 || problems[0].Cure != "write mask, delete or keep" {
		t.Errorf("problems %v", problems)
	}
}
