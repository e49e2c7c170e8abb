package config_test

import (
	"encoding"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// refused is what a value that cannot be read is shown as.
const refused = "refused"

func read[T any](s string) string {
	v := new(T)
	if err := any(v).(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
		return refused
	}
	return fmt.Sprint(*v)
}

func TestValues(t *testing.T) {
	tests := []struct {
		kind string
		read func(string) string
		want map[string]string
	}{
		{"TLP", read[config.TLP], map[string]string{
			"amber": "AMBER", "WHITE": "CLEAR", "clear": "CLEAR", "Green": "GREEN", "RED": "RED", "AMBER+STRICT": "AMBER+STRICT",
			"amber_strict": "AMBER+STRICT", "AMBER STRICT": "AMBER+STRICT", "amber-strict": "AMBER+STRICT", "TLP:RED": "RED",
			"PURPLE": refused, "AMBERSTRICT": refused, "": refused,
		}},
		{"size", read[config.Bytes], map[string]string{
			"100MiB": "104857600", "1 GiB": "1073741824", "50mb": "50000000", "7": "7", "0": "0", "10B": "10",
			"-1": refused, "1.5MB": refused, "MiB": refused, "10M": refused, "99999999999GiB": refused, "99999999999999999999": refused,
		}},
		{"confidence", read[config.Confidence], map[string]string{
			"0": "{0 true}", "1": "{15 true}", "2": "{50 true}", "3": "{75 true}", "4": "{85 true}", "5": "{5 true}", "100": "{100 true}",
			"101": refused, "-1": refused, "high": refused,
		}},
		{"URL", read[config.URL], map[string]string{
			"https://a.example/": "https://a.example", "http://a:8080/base//": "http://a:8080/base",
			"a.example": refused, "ftp://a": refused, "https://": refused, "https://a/?q=1": refused, "https://a/graphql": refused,
			"https://user:pass@a": refused, "https://a/#x": refused,
		}},
		{"homeserver", read[config.Homeserver], map[string]string{
			"https://m.example.org/": "https://m.example.org", "example.org": "example.org", "example.org:8448": "example.org:8448",
			"[::1]:8008": "[::1]:8008", "http://127.0.0.1:8008": "http://127.0.0.1:8008",
			"two words": refused, "@a:example.org": refused, "https//x": refused, "file:///etc": refused,
		}},
		{"user id", read[config.UserID], map[string]string{
			"@octi:example.org": "@octi:example.org", "@a=b/c.d:[::1]:8448": "@a=b/c.d:[::1]:8448", "@Old.Name:x": "@Old.Name:x",
			"octi": refused, "@octi": refused, "@:x": refused, "@a b:x": refused, "@a:": refused, "@" + strings.Repeat("a", 255) + ":x": refused,
		}},
		{"connector id", read[config.ConnectorID], map[string]string{
			"7F2B7A4E-6D0B-4C52-9A55-0C1F6F6B2F11": "7f2b7a4e-6d0b-4c52-9a55-0c1f6f6b2f11",
			"7f2b7a4e_6d0b_4c52_9a55_0c1f6f6b2f11": refused, "7f2b7a4e6d0b4c529a550c1f6f6b2f11": refused,
			"00000000-0000-0000-0000-000000000000": refused, "x": refused,
		}},
		{"connector type", read[config.ConnectorType], map[string]string{"external_import": "EXTERNAL_IMPORT", "STREAM": refused}},
		{"connector name", read[config.ConnectorName], map[string]string{"ab": "ab", "a": refused}},
		{"log level", read[config.LogLevel], map[string]string{
			"debug": "-4", "INFO": "0", "Warning": "4", "warn": "4", "ERROR": "8", "loud": refused,
		}},
		{"certificate check", read[config.Verify], map[string]string{
			"true": "{false }", "ON": "{false }", "1": "{false }", "yes": "{false }", "false": "{true }", "0": "{true }", "off": "{true }",
			"No": "{true }", "/etc/ca.pem": "{false /etc/ca.pem}", "ca.pem": "{false ca.pem}", "maybe": refused,
		}},
		{"invite pattern", read[config.SenderPatterns], map[string]string{
			"@alice:example.org, *:example.org": "[@alice:example.org *:example.org]", "@ops-*:*.example.org": "[@ops-*:*.example.org]",
			"*:*": "[*:*]", "*": refused, "alice": refused, "@alice": refused, "@a:x,bob": refused, "#room:x": refused,
		}},
		{"room pattern", read[config.RoomPatterns], map[string]string{
			"!a:x,#b:y": "[!a:x #b:y]", "!nocolonInVersion12": "[!nocolonInVersion12]", "*:example.org": "[*:example.org]", "*": "[*]",
			"general": refused, "#a b:x": refused, "@a:x": refused,
		}},
		{"media pattern", read[config.MediaPatterns], map[string]string{
			"image/*, Application/PDF": "[image/* application/pdf]", "image": refused, "a/b/c": refused,
		}},
		{"permalink base", read[config.Permalink], map[string]string{
			"https://matrix.to/#/": "https://matrix.to/#/", "https://chat.example.org/#/room/": "https://chat.example.org/#/room/",
			"javascript:alert(1)": refused, "matrix.to": refused,
		}},
	}
	for _, test := range tests {
		t.Run(test.kind, func(t *testing.T) {
			for in, want := range test.want {
				if got := test.read(in); got != want {
					t.Errorf("%q is read as %s, want %s", in, got, want)
				}
			}
		})
	}
}

func TestStart(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.FixedZone("", 3600))
	tests := map[string]string{
		"P30D": "2026-03-01T11:00:00Z", "P1Y": "2025-03-31T11:00:00Z", "P2W": "2026-03-17T11:00:00Z", "PT36H": "2026-03-29T23:00:00Z",
		"p1dt1h": "2026-03-30T10:00:00Z", "2026-01-31": "2026-01-31T00:00:00Z", "2026-01-31T10:00:00+01:00": "2026-01-31T09:00:00Z",
		"P0D": "2026-03-31T11:00:00Z", "none": "none", "NONE": "none",
		"P": refused, "P1DT": refused, "30": refused, "yesterday": refused, "2026-02-30": refused, "": refused, "P-3D": refused,
	}
	for in, want := range tests {
		var s config.Start
		got := refused
		if err := s.UnmarshalText([]byte(in)); err == nil {
			got = "none"
			if at, ok := s.Since(now); ok {
				got = at.Format(time.RFC3339)
			}
		}
		if got != want {
			t.Errorf("%q starts at %s, want %s", in, got, want)
		}
	}
}

func TestSmallChoices(t *testing.T) {
	tests := []struct {
		kind string
		read func(string) string
		want map[string]string
	}{
		{"queue protocol", read[config.QueueProtocol], map[string]string{"amqp": "amqp", "API": "api", "http": refused, "amqps": refused}},
		{"redactions", read[config.Redactions], map[string]string{"mask": "mask", "Delete": "delete", "KEEP": "keep", "hide": refused}},
		{"listen address", read[config.ListenAddress], map[string]string{
			"127.0.0.1": "127.0.0.1", "::1": "::1", "[::1]": "::1", "0.0.0.0": "0.0.0.0", "localhost": "localhost",
			"127.0.0.1:9095": refused, "http://x": refused, "a b": refused, "-x": refused,
		}},
		{"metric name", read[config.MetricName], map[string]string{"opencti": "opencti", "_a1": "_a1", "1a": refused, "a-b": refused, "a:b": refused}},
		{"retention", read[config.Retention], map[string]string{
			"P7D": "{168h0m0s false}", "pt12h": "{12h0m0s false}", "P1M": "{720h0m0s false}", "P1Y": "{8760h0m0s false}", "P0D": "{0s false}",
			"none": "{0s true}", "NONE": "{0s true}", "7": refused, "P": refused, "2026-01-01": refused, "P200Y": refused, "P9999Y99999M": refused,
		}},
	}
	for _, test := range tests {
		t.Run(test.kind, func(t *testing.T) {
			for in, want := range test.want {
				if got := test.read(in); got != want {
					t.Errorf("%q is read as %s, want %s", in, got, want)
				}
			}
		})
	}
}
